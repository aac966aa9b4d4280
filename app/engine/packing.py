"""Which inputs of which jobs are computed together."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable, Sequence

__all__ = ["Packer"]


class Packer:
    """Inputs that wait, by job, known by their numbers and lengths. Engine thread only.

    Jobs take turns: a batch begins with the longest input of the job whose turn it is, then every job adds in turn the longest
    of its inputs that still fits. So a job waits for no more batches than there are jobs, however many inputs the others have,
    and short inputs fill what long ones leave.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[int, int]]] = {}
        self._turns: deque[str] = deque()

    def __len__(self) -> int:
        """How many inputs wait."""
        return sum(map(len, self._waiting.values()))

    def add(self, job: str, lengths: Sequence[int]) -> None:
        """Queue a job's inputs; they are called by their index from here on."""
        if lengths:
            self._waiting[job] = sorted((length, index) for index, length in enumerate(lengths))
            self._turns.append(job)

    def remove(self, job: str) -> None:
        """Drop what still waits of a job. Unknown ids are ignored."""
        if self._waiting.pop(job, None) is not None:
            self._turns.remove(job)

    def next(self, *, n_tokens: int, n_inputs: int) -> list[tuple[str, int]]:
        """Take out one batch, as pairs of job and index: at most `n_inputs` inputs, of at most `n_tokens` tokens together, or
        one longer input alone."""
        if not self._turns:
            return []
        first = self._turns[0]
        self._turns.rotate(-1)
        length, index = self._waiting[first].pop()
        batch = [(first, index)]
        room = n_tokens - length
        takers = deque([*self._turns])
        while takers and room > 0 and len(batch) < n_inputs:
            job = takers.popleft()
            # Room only shrinks: a job with nothing that fits now has nothing later.
            fitting = bisect.bisect_right(self._waiting[job], room, key=lambda item: item[0])
            if fitting:
                length, index = self._waiting[job].pop(fitting - 1)
                batch.append((job, index))
                room -= length
                takers.append(job)
        self._forget(job for job, waiting in tuple(self._waiting.items()) if not waiting)
        return batch

    def _forget(self, jobs: Iterable[str]) -> None:
        for job in jobs:
            self.remove(job)
