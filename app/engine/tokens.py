"""A growing row of token ids, and a prompt made of text tokens and pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.engine.decoder import IntArray, PictureTokens

__all__ = ["PlacedPicture", "TokenRow", "TokenizedPrompt", "pseudo_ids", "shared_prefix", "turn_starts"]

# A first turn shorter than this is no system prompt worth keeping.
_MIN_TURN = 32
# How far before its end a long prompt without turns is taken up again.
_LAST_TOKENS = 4
# The end of a turn and the beginning of the next count as one place.
_APART = 8


@dataclass(frozen=True, slots=True)
class PlacedPicture:
    """A picture's run of tokens in a prompt, from index `start`."""

    start: int
    tokens: PictureTokens

    @property
    def end(self) -> int:
        return self.start + self.tokens.n_tokens


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """Token ids of a prompt. Picture tokens are negative ids made from the picture's hash: equal pictures are equal ids."""

    ids: IntArray
    pictures: tuple[PlacedPicture, ...] = ()

    def position(self, index: int) -> int:
        """The position of the token at `index`, which must not lie inside a picture."""
        if not self.pictures:
            return index
        return index - sum(p.tokens.n_tokens - p.tokens.n_positions for p in self.pictures if p.end <= index)

    def picture_at(self, index: int) -> PlacedPicture | None:
        return next((picture for picture in self.pictures if picture.start == index), None)

    def next_picture(self, index: int) -> int:
        """Where the first picture at or after `index` starts; far away if there is none."""
        if not self.pictures:
            return 2**31
        return next((picture.start for picture in self.pictures if picture.start >= index), 2**31)

    def whole(self, index: int) -> int:
        """The largest index up to `index` that does not cut a picture."""
        return next((picture.start for picture in self.pictures if picture.start < index < picture.end), index)


class TokenRow:
    """Token ids in one growing array."""

    def __init__(self, ids: IntArray) -> None:
        self._array = np.empty(max(256, 2 * len(ids)), np.int32)
        self._array[: len(ids)] = ids
        self._n = len(ids)

    def __len__(self) -> int:
        return self._n

    @property
    def ids(self) -> IntArray:
        """A view, valid until the next `append`."""
        return self._array[: self._n]

    def append(self, token: int) -> None:
        if self._n == len(self._array):
            self._array = np.concatenate([self._array, np.empty_like(self._array)])
        self._array[self._n] = token
        self._n += 1

    def cut(self, length: int) -> None:
        self._n = min(self._n, length)


def shared_prefix(a: IntArray, b: IntArray) -> int:
    """How many ids the two begin with in common."""
    n = min(len(a), len(b))
    if n == 0 or a[0] != b[0]:
        return 0
    different = a[:n] != b[:n]
    at = int(different.argmax())
    return at if different[at] else n


def pseudo_ids(key: bytes, n_tokens: int) -> IntArray:
    """Negative ids for a picture's tokens: its hash in 31-bit words, over and over."""
    words = np.frombuffer(key[: len(key) // 4 * 4], "<u4") & 0x7FFFFFFF
    return np.resize(-1 - words.astype(np.int64), n_tokens).astype(np.int32)


def turn_starts(ids: IntArray, is_control: Callable[[int], bool]) -> set[int]:
    """Where a later prompt may well depart from this one: after its first long turn, and before each of its last two.

    A turn begins with a control token. A prompt without any is only taken up again near its end.
    """
    control = [token >= 0 and is_control(token) for token in ids.tolist()]
    starts = [i for i in range(1, len(control)) if control[i] and not control[i - 1]]
    if not starts:
        return {len(ids) - _LAST_TOKENS} if len(ids) > _MIN_TURN else set()
    chosen = {starts[-1], *[start for start in starts if start >= _MIN_TURN][:1]}
    before = [start for start in starts if start <= starts[-1] - _APART]
    return chosen | set(before[-1:])
