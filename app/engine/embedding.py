"""Texts to vectors: whole inputs of all requests packed into batches."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from app.domain.errors import AppError, EngineBusy, GenerationFailed
from app.domain.generation import EmbeddingResult
from app.engine.decoder import Encoder, FloatArray
from app.engine.protocol import Embedded, JobEvent, JobFailed

__all__ = ["EmbeddingScheduler", "PreparedEmbedding"]

_MAX_WAITING = 256


@dataclass(frozen=True, slots=True)
class PreparedEmbedding:
    """A job that has been checked: every input fits into a batch."""

    id: str
    inputs: tuple[tuple[int, ...], ...]


@dataclass(slots=True)
class _Running:
    prepared: PreparedEmbedding
    vectors: dict[int, bytes] = field(default_factory=dict)


class EmbeddingScheduler:
    """Packs inputs of waiting jobs, first come first served. Engine thread only."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._jobs: dict[str, _Running] = {}
        self._inputs: deque[tuple[str, int]] = deque()

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    def submit(self, prepared: PreparedEmbedding) -> None:
        """Raises EngineBusy."""
        if len(self._jobs) >= _MAX_WAITING:
            raise EngineBusy
        self._jobs[prepared.id] = _Running(prepared)
        self._inputs.extend((prepared.id, i) for i in range(len(prepared.inputs)))

    def cancel(self, job: str) -> None:
        if self._jobs.pop(job, None) is not None:
            self._inputs = deque(item for item in self._inputs if item[0] != job)

    def step(self) -> list[JobEvent]:
        events: list[JobEvent] = [
            Embedded(job, EmbeddingResult((), 0)) for job, r in self._jobs.items() if not r.prepared.inputs
        ]
        items = self._pack()
        if items:
            vectors = self._encoder.encode([self._jobs[job].prepared.inputs[i] for job, i in items])
            events += self._failed(items) if vectors is None else self._store(items, vectors)
        for event in events:
            self._jobs.pop(event.id, None)
        return events

    def fail_all(self, error: AppError) -> list[JobEvent]:
        failed: list[JobEvent] = [JobFailed(job, error) for job in self._jobs]
        self._jobs.clear()
        self._inputs.clear()
        return failed

    def close(self) -> None:
        self._jobs.clear()
        self._inputs.clear()

    def _pack(self) -> list[tuple[str, int]]:
        """As many waiting inputs, in their order, as one batch takes."""
        items: list[tuple[str, int]] = []
        room = self._encoder.n_tokens_max
        while self._inputs and len(items) < self._encoder.n_sequences:
            job, i = self._inputs[0]
            room -= len(self._jobs[job].prepared.inputs[i])
            if room < 0 and items:
                break
            items.append(self._inputs.popleft())
        return items

    def _store(self, items: list[tuple[str, int]], vectors: FloatArray) -> list[JobEvent]:
        events: list[JobEvent] = []
        for (job, i), vector in zip(items, vectors, strict=True):
            running = self._jobs[job]
            running.vectors[i] = _normalised(vector)
            if len(running.vectors) == len(running.prepared.inputs):
                events.append(Embedded(job, _result(running)))
        return events

    def _failed(self, items: list[tuple[str, int]]) -> list[JobEvent]:
        jobs = {job for job, _ in items}
        self._inputs = deque(item for item in self._inputs if item[0] not in jobs)
        return [JobFailed(job, GenerationFailed("llama.cpp could not compute these embeddings.")) for job in jobs]


def _result(running: _Running) -> EmbeddingResult:
    ordered = tuple(running.vectors[i] for i in range(len(running.vectors)))
    return EmbeddingResult(ordered, sum(map(len, running.prepared.inputs)))


def _normalised(vector: FloatArray) -> bytes:
    length = float(np.linalg.norm(vector))
    return (vector / length if length > 0 else vector).astype("<f4").tobytes()
