"""The prompt told along with its answer: each of its tokens, and how likely the model found it."""

from __future__ import annotations

import math

from app.domain.generation import TokenLogprob
from app.domain.prompt import Piece
from app.engine.decoder import FloatArray, IntArray, Vocabulary
from app.engine.sampling import logprobs
from app.engine.text_stream import TextStream

__all__ = ["PromptEcho"]


class PromptEcho:
    """Gathers a prompt's log probabilities from rows of logits, whichever rows come how often. Engine thread only."""

    def __init__(self, ids: IntArray, top: int, vocabulary: Vocabulary, *, skipped: int = 0) -> None:
        """`top` alternatives are told with each token. `skipped` tokens at the beginning are none of the client's."""
        self._ids = ids
        self._top = top
        self._vocabulary = vocabulary
        self._text = TextStream(strip_first_space=vocabulary.adds_space)
        self._next = skipped
        if not skipped:
            # Nothing comes before it that could tell how likely it is.
            first = int(ids[0])
            raw = vocabulary.piece(first)
            self._tell(TokenLogprob(first, raw.decode("utf-8", "replace"), raw, math.nan))

    @property
    def is_complete(self) -> bool:
        return self._next >= len(self._ids)

    def read(self, start: int, rows: FloatArray) -> None:
        """`rows` are the logits after the prompt's tokens from `start` on. Raises GenerationFailed."""
        for index, row in enumerate(rows, start + 1):
            if index == self._next and not self.is_complete:
                self._tell(logprobs(row, int(self._ids[index]), self._top, self._vocabulary))

    def take(self) -> tuple[Piece, ...]:
        """The pieces that have not been taken."""
        return self._text.take()

    def _tell(self, token: TokenLogprob) -> None:
        control = self._vocabulary.is_control(token.token_id)
        self._text.feed(token.token_id, token.raw, control=control, logprob=token)
        self._next += 1
