"""Counting the tokens of an answer's reasoning, to end it when there are enough."""

from __future__ import annotations

import enum

from app.domain.prompt import ReasoningLimit

__all__ = ["ThoughtLimit"]


class _Place(enum.Enum):
    BEFORE = enum.auto()
    INSIDE = enum.auto()
    BEHIND = enum.auto()


class ThoughtLimit:
    """Reads an answer token by token, however its markers are split into tokens."""

    def __init__(self, limit: ReasoningLimit) -> None:
        self._limit = limit
        self._open, self._close = limit.open.lstrip().encode(), limit.close.encode()
        self._place = _Place.INSIDE if limit.begun else _Place.BEFORE
        self._n_tokens = 0
        self._tail = b""

    @property
    def is_reached(self) -> bool:
        """Whether the reasoning has to end here. The token that opened it does not count."""
        return self._place is _Place.INSIDE and self._n_tokens >= self._limit.n_tokens

    def read(self, piece: bytes) -> None:
        if self._place is _Place.BEHIND:
            return
        self._tail += piece
        if self._place is _Place.BEFORE:
            self._look_for_opening()
            return
        self._n_tokens += 1
        if self._close in self._tail:
            self._place, self._tail = _Place.BEHIND, b""
        else:
            self._tail = self._tail[-len(self._close) :]

    def _look_for_opening(self) -> None:
        begun = self._tail.lstrip()
        if begun.startswith(self._open):
            self._place, self._tail = _Place.INSIDE, begun[len(self._open) :]
        elif not self._open.startswith(begun):
            self._place, self._tail = _Place.BEHIND, b""
