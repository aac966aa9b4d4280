"""DRY, the penalty on repeating oneself: what it costs each token to go on with a passage that has been written before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from app.domain.generation import SamplingParams
from app.engine.decoder import FloatArray, IntArray, Vocabulary

__all__ = ["Breakers", "DryPenalty", "find_breakers"]

# llama.cpp's own bounds, so that a breaker means the same.
_MAX_BREAKER_BYTES = 40
_MAX_TAIL = 20
_FLOAT_MAX_LOG = 88.7228391
_LEAST_GROWTH = 1.000001
# Passages longer than this cost no more: the exponent is bounded there anyway for every base from 1.2 on.
_LONGEST_PASSAGE = 512


@dataclass(frozen=True, slots=True)
class Breakers:
    """Where a passage ends: tokens that break it, each with the token sequences one of which must follow (() for none)."""

    tails: Mapping[int, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    heads: IntArray = field(default_factory=lambda: np.empty(0, np.int32))

    def breaks_alone(self, token: int) -> bool:
        return () in self.tails.get(token, ())


def find_breakers(texts: Iterable[str], vocabulary: Vocabulary) -> Breakers:
    """Look through a whole vocabulary: a tenth of a second for a large one, so for the preparing thread."""
    pieces = [vocabulary.piece(token) for token in range(vocabulary.n_tokens)]
    longest_first = sorted(range(len(pieces)), key=lambda token: -len(pieces[token]))
    by_last_byte: dict[int, list[int]] = {}
    for token in longest_first:
        if pieces[token]:
            by_last_byte.setdefault(pieces[token][-1], []).append(token)
    found: dict[int, set[tuple[int, ...]]] = {}
    for text in texts:
        breaker = text.encode()[:_MAX_BREAKER_BYTES]
        for token, piece in enumerate(pieces):
            if breaker in piece:
                found.setdefault(token, set()).add(())
        for begun in range(1, len(breaker)):
            # A token that ends with the beginning of a breaker, if the rest of it follows.
            tail = vocabulary.tokenize(breaker[begun:].decode("utf-8", "replace"), parse_special=False)[:_MAX_TAIL]
            for token in by_last_byte.get(breaker[begun - 1], ()):
                if len(pieces[token]) < begun:
                    break
                if pieces[token].endswith(breaker[:begun]) and breaker not in pieces[token]:
                    found.setdefault(token, set()).add(tuple(tail))
    return Breakers({token: tuple(tails) for token, tails in found.items()}, np.array(sorted(found), np.int32))


class DryPenalty:
    """llama.cpp's DRY as an edit of a row: only tokens that would continue a repeated passage are touched."""

    def __init__(self, params: SamplingParams, breakers: Breakers) -> None:
        self._multiplier = float(np.float32(params.dry_multiplier))
        self._base = float(np.float32(params.dry_base))
        self._allowed = params.dry_allowed_length
        self._breakers = breakers
        growing = self._base > _LEAST_GROWTH
        self._max_exponent = int(_FLOAT_MAX_LOG / math.log(self._base)) if growing else 0

    def apply(self, row: FloatArray, written: IntArray) -> None:
        """Lower the logits of what would repeat a passage of `written`, the last tokens of prompt and answer."""
        n = len(written)
        if n <= self._allowed:
            return
        limit = self._since_break(written)
        if limit < self._allowed:
            return
        lengths = self._repeats(written, limit)
        again = np.flatnonzero(lengths >= self._allowed)
        if not len(again):
            return
        longest: dict[int, int] = {}
        for token, length in zip(written[again + 1].tolist(), lengths[again].tolist(), strict=True):
            longest[token] = max(length, longest.get(token, 0))
        for token, length in longest.items():
            if 0 <= token < len(row) and not self._breakers.breaks_alone(token):
                row[token] -= np.float32(self._multiplier * self._base ** self._exponent(length))

    def _exponent(self, length: int) -> int:
        exponent = length - self._allowed
        return min(exponent, self._max_exponent) if self._max_exponent else exponent

    def _since_break(self, written: IntArray) -> int:
        """How many tokens follow the last breaker."""
        n = len(written)
        for index in np.flatnonzero(np.isin(written, self._breakers.heads))[::-1].tolist():
            following = tuple(written[index + 1 : index + 1 + _MAX_TAIL].tolist())
            matching = [len(tail) for tail in self._breakers.tails[int(written[index])] if following[: len(tail)] == tail]
            if matching:
                return n - 1 - int(index) - max(matching)
        return n

    def _repeats(self, written: IntArray, limit: int) -> IntArray:
        """For each token but the last: how many tokens up to it are also the last ones of all."""
        n = len(written)
        lengths = np.zeros(n - 1, np.int32)
        alive = np.arange(n - 1)
        bound = self._allowed + (self._max_exponent or 1)
        for length in range(min(limit, bound, _LONGEST_PASSAGE)):
            alive = alive[alive >= length]
            alive = alive[written[alive - length] == written[n - 1 - length]]
            if not len(alive):
                break
            lengths[alive] = length + 1
        return lengths
