"""Speculative decoding: guesses at the next tokens, checked by the model in one step, and when they are worth it.

A guess is taken only where the sampler, given the model's own logits, chooses that very token: answers stay what they were.
"""

from __future__ import annotations

from itertools import islice
from typing import Protocol

from app.engine.generation import Generation
from app.engine.pace import Pace
from app.engine.tokens import TokenRow

__all__ = ["Drafter", "NgramDrafter", "draft_length"]

# Most tokens guessed for one sequence in one step.
_MAX_DRAFT = 8
_N = 3
# Tokens looked through per step, so that a long prompt does not hold the others up.
_INDEXED_AT_ONCE = 2048
# A guess must promise this much to be tried.
_WORTH = 1.05


class Drafter(Protocol):
    """Guesses what generations write next. Engine thread only."""

    @property
    def token_s(self) -> float:
        """Seconds that one guessed token costs; 0 if next to nothing."""
        ...

    def propose(self, generation: Generation, n: int) -> tuple[int, ...]:
        """Up to `n` tokens."""
        ...

    def release(self, generation: Generation) -> None:
        """Forget what was kept for a generation."""
        ...


class NgramDrafter:
    """Guesses that what followed the last three tokens before follows them again: quotations, code, JSON."""

    token_s = 0.0

    def __init__(self) -> None:
        self._indexes: dict[str, _NgramIndex] = {}

    def propose(self, generation: Generation, n: int) -> tuple[int, ...]:
        index = self._indexes.get(generation.id)
        if index is None:
            index = self._indexes[generation.id] = _NgramIndex(generation.row)
        return index.propose(n)

    def release(self, generation: Generation) -> None:
        self._indexes.pop(generation.id, None)


class _NgramIndex:
    """Where each three tokens of a row were last followed by another."""

    def __init__(self, row: TokenRow) -> None:
        self._row = row
        self._last: dict[tuple[int, ...], int] = {}
        self._indexed = _N

    def propose(self, n: int) -> tuple[int, ...]:
        """Up to `n` tokens that may come next."""
        end = len(self._row)
        if end <= _N:
            return ()
        self._index(end)
        ids = self._row.ids
        at = self._last.get(tuple(ids[end - _N :].tolist()))
        if at is None:
            return ()
        guess: list[int] = []
        for i in range(at, at + n):
            # What repeats with a short period goes on beyond the end.
            token = int(ids[i]) if i < end else guess[i - end]
            if token < 0:
                break
            guess.append(token)
        return tuple(guess)

    def _index(self, end: int) -> None:
        """Note where each three tokens were followed by another, up to the last token."""
        start, stop = self._indexed, min(end, self._indexed + _INDEXED_AT_ONCE)
        if start >= stop:
            return
        ids = self._row.ids[start - _N : stop].tolist()
        grams = zip(*(islice(ids, i, None) for i in range(_N)), strict=False)
        # The last gram has nothing after it yet.
        for i, gram in zip(range(start, stop), grams, strict=False):
            self._last[gram] = i
        self._indexed = stop


def draft_length(pace: Pace, n_rows: int, rate: float, n_max: int, *, token_s: float = 0.0) -> int:
    """How many guessed tokens, each right with chance `rate`, make a step of `n_rows` rows most productive; 0 if none is."""
    if not pace.knows(n_rows):
        return 0
    if not pace.knows_more(n_rows):
        # One token tells what a row costs.
        return min(n_max, 1)
    best, most = 0, _WORTH
    dearer = token_s / pace.step_s(n_rows) if token_s and pace.step_s(n_rows) else 0.0
    right = 0.0
    for n in range(1, min(n_max, _MAX_DRAFT) + 1):
        # A guess counts only if all before it were right.
        right += rate**n
        gain = (n_rows + right) / n_rows / (pace.ratio(n_rows, n) + n * dearer)
        if gain > most:
            best, most = n, gain
    return best
