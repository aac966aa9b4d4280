"""Counting the tokens of an answer's reasoning, to end it when there are enough."""

from __future__ import annotations

import enum

from app.domain.prompt import ReasoningLimit

__all__ = ["ThoughtLimit"]

# More tokens than it takes to finish a character or a marker.
_MOST_EXTRA = 16


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
        """Whether the reasoning has to end here. The token that opened it does not count.

        A character is finished first, and so is what may become the closing marker.
        """
        extra = self._n_tokens - self._limit.n_tokens
        return self._place is _Place.INSIDE and extra >= 0 and (extra >= _MOST_EXTRA or not self._is_unfinished)

    @property
    def _is_unfinished(self) -> bool:
        begun = any(self._tail.endswith(self._close[:size]) for size in range(1, len(self._close)))
        return begun or _ends_inside_character(self._tail)

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
        begun, opening = self._tail.lstrip(), self._open.lstrip()
        if begun.startswith(opening):
            self._place, self._tail = _Place.INSIDE, begun[len(opening) :]
        elif not opening.startswith(begun):
            self._place, self._tail = _Place.BEHIND, b""


def _ends_inside_character(data: bytes) -> bool:
    """Whether UTF-8 that ends here lacks bytes of its last character."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            return back < (4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2)
        if byte < 0x80:
            return False
    return False
