"""Which bytes of a file are there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

__all__ = ["ByteRanges", "Span"]

# The first byte, and the one after the last.
Span: TypeAlias = tuple[int, int]


class ByteRanges:
    """Spans that neither touch nor overlap, in order."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans: list[Span] = []
        for start, end in spans:
            self.add(start, end)

    @property
    def spans(self) -> tuple[Span, ...]:
        return tuple(self._spans)

    @property
    def total(self) -> int:
        return sum(end - start for start, end in self._spans)

    @property
    def prefix(self) -> int:
        """How many bytes are there from the first on."""
        return self._spans[0][1] if self._spans and self._spans[0][0] == 0 else 0

    def add(self, start: int, end: int) -> None:
        if start >= end:
            return
        before = [span for span in self._spans if span[1] < start]
        after = [span for span in self._spans if span[0] > end]
        joined = self._spans[len(before) : len(self._spans) - len(after)]
        if joined:
            start, end = min(start, joined[0][0]), max(end, joined[-1][1])
        self._spans = [*before, (start, end), *after]

    def first_gap(self, size: int) -> Span | None:
        """The first bytes below `size` that are missing."""
        start = self.prefix
        if start >= size:
            return None
        following = next((span for span in self._spans if span[0] > start), None)
        return (start, min(following[0], size) if following else size)
