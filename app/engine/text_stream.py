"""Tokens to text as they come: whole characters only, and nothing that might still turn out to be a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from app.domain.generation import TokenLogprob
from app.domain.prompt import Piece

__all__ = ["TextStream"]


class TextStream:
    """The text of one answer. Work per token depends on the length of the stop strings, never on that of the text."""

    def __init__(self, stops: Sequence[str] = (), *, strip_first_space: bool = False) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._strip = strip_first_space
        self._held: list[Piece] = []
        self._ready: list[Piece] = []
        self.stopped_by: str | None = None

    def feed(self, token: int, data: bytes, *, control: bool = False, logprob: TokenLogprob | None = None) -> None:
        """Add a token. Once `stopped_by` is set, the text has ended and later tokens must not be fed."""
        if self._strip:
            data, self._strip = data.removeprefix(b" "), False
        self._held.append(Piece(token, self._decode(data), control, logprob))
        if self._stops:
            self._look_for_stop()
        else:
            self._release(len(self._held))

    def take(self) -> tuple[Piece, ...]:
        """The pieces that are certain, each once."""
        ready = tuple(self._ready)
        self._ready.clear()
        return ready

    def finish(self) -> None:
        """The answer is over: what was held back is text after all. Bytes of an unfinished character are dropped."""
        if self.stopped_by is None:
            self._release(len(self._held))

    def _look_for_stop(self) -> None:
        tail = "".join(piece.text for piece in self._held)
        found = [(at, stop) for stop in self._stops if (at := tail.find(stop)) >= 0]
        if found:
            at, self.stopped_by = min(found, key=lambda pair: pair[0])
            self._cut(at)
            return
        safe = len(tail) - max(_overlap(tail, stop) for stop in self._stops)
        count, end = 0, 0
        for piece in self._held:
            end += len(piece.text)
            if end > safe:
                break
            count += 1
        self._release(count)

    def _cut(self, length: int) -> None:
        """Release the first `length` characters of what is held and drop the rest."""
        for piece in self._held:
            if length <= 0:
                break
            text = piece.text[:length]
            length -= len(text)
            self._ready.append(piece if text == piece.text else Piece(piece.token_id, text, piece.control, piece.logprob))
        self._held.clear()

    def _release(self, count: int) -> None:
        self._ready += self._held[:count]
        del self._held[:count]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` with which `stop` begins."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
