"""Texts to vectors, and pairs of texts to scores: whole inputs of all requests packed into batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from app.domain.errors import AppError, EngineBusy, GenerationFailed
from app.domain.generation import EmbeddingResult, RerankResult
from app.engine.decoder import DecodeResult, Encoder, FloatArray
from app.engine.packing import Packer
from app.engine.protocol import Embedded, JobEvent, JobFailed, Reranked

__all__ = ["EmbeddingScheduler", "LazyEncoder", "PreparedEmbedding"]

_MAX_WAITING = 256


@dataclass(frozen=True, slots=True)
class PreparedEmbedding:
    """A job that has been checked: every input fits into the encoder. `ranks`: its answer is scores."""

    id: str
    inputs: tuple[tuple[int, ...], ...]
    ranks: bool = False


@dataclass(slots=True)
class _Running:
    prepared: PreparedEmbedding
    rows: dict[int, FloatArray] = field(default_factory=dict)


class EmbeddingScheduler:
    """Computes waiting inputs batch by batch. Engine thread only, except `interrupt`.

    Inputs of a batch that llama.cpp refuses are computed again one by one, so that only the job of the guilty one fails.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._jobs: dict[str, _Running] = {}
        self._packer = Packer()
        self._again: deque[tuple[str, int]] = deque()
        self._computing: frozenset[str] = frozenset()

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    def submit(self, prepared: PreparedEmbedding) -> None:
        """Raises EngineBusy."""
        if len(self._jobs) >= _MAX_WAITING:
            raise EngineBusy
        self._jobs[prepared.id] = _Running(prepared)
        self._packer.add(prepared.id, tuple(map(len, prepared.inputs)))

    def cancel(self, job: str) -> None:
        """Forget a job, without an event. Unknown ids are ignored."""
        if self._jobs.pop(job, None) is not None:
            self._drop(job)

    def interrupt(self, job: str) -> None:
        """Cut short the computation that runs, if it is for this job alone. Any thread; `cancel` still has to follow."""
        if self._computing == {job}:
            self._encoder.interrupt()

    def step(self) -> list[JobEvent]:
        """Compute one batch and return what came of it."""
        items = [self._again.popleft()] if self._again else self._next()
        events = self._compute(items) if items else []
        # A job without inputs is done as it is.
        events += [_done(running) for job, running in self._jobs.items() if not running.prepared.inputs]
        for event in events:
            self._jobs.pop(event.id, None)
        return events

    def fail_all(self, error: AppError) -> list[JobEvent]:
        failed: list[JobEvent] = [JobFailed(job, error) for job in self._jobs]
        self.close()
        return failed

    def close(self) -> None:
        self._jobs.clear()
        self._packer = Packer()
        self._again.clear()

    def _next(self) -> list[tuple[str, int]]:
        return self._packer.next(n_tokens=self._encoder.n_tokens_packed, n_inputs=self._encoder.n_sequences)

    def _compute(self, items: list[tuple[str, int]]) -> list[JobEvent]:
        self._computing = frozenset(job for job, _ in items)
        try:
            rows = self._encoder.encode([self._jobs[job].prepared.inputs[i] for job, i in items])
        except GenerationFailed as error:
            return self._fail(self._computing, error)
        finally:
            self._computing = frozenset()
        if not isinstance(rows, DecodeResult):
            return self._store(items, rows)
        if rows is DecodeResult.ABORTED or len(items) > 1:
            self._again.extend(items)
            return []
        return self._fail({items[0][0]}, GenerationFailed("llama.cpp could not compute this input."))

    def _store(self, items: list[tuple[str, int]], rows: FloatArray) -> list[JobEvent]:
        events: list[JobEvent] = []
        for (job, i), row in zip(items, rows, strict=True):
            running = self._jobs[job]
            running.rows[i] = row
            if len(running.rows) == len(running.prepared.inputs):
                events.append(_done(running))
        return events

    def _fail(self, jobs: Set[str], error: GenerationFailed) -> list[JobEvent]:
        for job in jobs:
            self._drop(job)
        return [JobFailed(job, error) for job in jobs]

    def _drop(self, job: str) -> None:
        self._packer.remove(job)
        self._again = deque(item for item in self._again if item[0] != job)


class LazyEncoder:
    """An encoder that is opened by its first use. `open_encoder` gives None where memory does not suffice; the next use tries
    again."""

    def __init__(self, open_encoder: Callable[[], Encoder | None], *, n_tokens_packed: int, n_sequences: int) -> None:
        self._open = open_encoder
        self._encoder: Encoder | None = None
        self.n_tokens_packed = n_tokens_packed
        self.n_sequences = n_sequences

    def encode(self, inputs: Sequence[Sequence[int]]) -> FloatArray | DecodeResult:
        """Raises GenerationFailed if it can't be opened."""
        self._encoder = self._encoder or self._open()
        if self._encoder is None:
            raise GenerationFailed("There is not enough memory for this model's embeddings. Use an embedding model.")
        return self._encoder.encode(inputs)

    def interrupt(self) -> None:
        encoder = self._encoder
        if encoder is not None:
            encoder.interrupt()

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None


def _done(running: _Running) -> JobEvent:
    prepared = running.prepared
    rows = [running.rows[i] for i in range(len(running.rows))]
    n_tokens = sum(map(len, prepared.inputs))
    if prepared.ranks:
        return Reranked(prepared.id, RerankResult(tuple(float(row[0]) for row in rows), n_tokens))
    return Embedded(prepared.id, EmbeddingResult(tuple(map(_normalised, rows)), n_tokens))


def _normalised(vector: FloatArray) -> bytes:
    length = float(np.linalg.norm(vector))
    return (vector / length if length > 0 else vector).astype("<f4").tobytes()
