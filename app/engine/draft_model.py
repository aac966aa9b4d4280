"""Guesses of a smaller model with the same vocabulary, which runs beside the one that answers."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from app.engine.decoder import Decoder, DecodeResult, IntArray
from app.engine.generation import Generation
from app.engine.tokens import TokenRow, shared_prefix

__all__ = ["DraftModel"]

_NEWEST = 0.2


class DraftModel:
    """Guesses with a second context, whose memory must be plain. Engine thread only.

    Each generation has a sequence of its own here, which follows the generation's tokens. What this model can't do (pictures, a
    full memory) costs that generation its guesses, nothing else.
    """

    def __init__(self, decoder: Decoder, *, n_vocab: int, clock: Callable[[], float] = perf_counter) -> None:
        """`n_vocab` is the larger model's: the same tokens may be followed by a few unused ones."""
        self._decoder = decoder
        self._n_vocab = n_vocab
        self._clock = clock
        self._places: dict[str, _Place] = {}
        self._free = list(range(decoder.n_sequences))
        self.token_s = 0.0

    def propose(self, generation: Generation, n: int) -> tuple[int, ...]:
        """The `n` tokens that the smaller model would write next."""
        place = self._place(generation)
        if place is None or place.too_long or not self._catch_up(place, generation.row.ids):
            return ()
        started = self._clock()
        guess = [self._likeliest()]
        while len(guess) < n and self._compute(place, np.array(guess[-1:], np.int32)):
            guess.append(self._likeliest())
        if len(guess) > 1:
            seconds = (self._clock() - started) / (len(guess) - 1)
            self.token_s = seconds if not self.token_s else (1 - _NEWEST) * self.token_s + _NEWEST * seconds
        return tuple(guess)

    def release(self, generation: Generation) -> None:
        """The generation has ended, or has to wait: its place is free for another."""
        place = self._places.pop(generation.id, None)
        if place is not None:
            self._decoder.remove(place.sequence, 0)
            self._free.append(place.sequence)

    def _place(self, generation: Generation) -> _Place | None:
        if generation.prompt.pictures:
            return None
        place = self._places.get(generation.id)
        if place is None and self._free:
            place = self._places[generation.id] = _Place(self._free.pop())
        return place

    def _catch_up(self, place: _Place, ids: IntArray) -> bool:
        """Compute what has been written since the last guess, and forget what was guessed wrong."""
        # The last token is always computed again: its logits are needed.
        keep = min(shared_prefix(place.row.ids, ids), len(ids) - 1)
        if keep < len(place.row):
            self._decoder.remove(place.sequence, keep)
            place.row.cut(keep)
        size = self._decoder.batch.capacity
        return all(self._compute(place, ids[at : at + size]) for at in range(keep, len(ids), size))

    def _compute(self, place: _Place, ids: IntArray) -> bool:
        batch = self._decoder.batch
        batch.clear()
        batch.add_chunk(ids, position=len(place.row), sequence=place.sequence, output=True)
        result = self._decoder.decode()
        if result is DecodeResult.FAILED:
            # That may have spoilt the whole memory.
            self._decoder.clear()
            for one in self._places.values():
                one.row.cut(0)
            return False
        if result is not DecodeResult.OK:
            self._decoder.remove(place.sequence, 0)
            place.row.cut(0)
            # Trying again with every token would read the whole text each time.
            place.too_long = result is DecodeResult.NO_SPACE
            return False
        for token in ids.tolist():
            place.row.append(token)
        return True

    def _likeliest(self) -> int:
        return int(self._decoder.logits()[-1][: self._n_vocab].argmax())


class _Place:
    """A sequence of the smaller model's memory, and the tokens it holds; none if the text is `too_long` for it."""

    __slots__ = ("row", "sequence", "too_long")

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.row = TokenRow(np.empty(0, np.int32))
        self.too_long = False
