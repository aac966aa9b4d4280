"""Answers that conform to a grammar: compiling it, and holding an answer to it token by token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llguidance
import numpy as np

from app.domain.errors import GenerationFailed, InvalidRequest
from app.domain.prompt import Constraint
from app.engine.decoder import IntArray, Vocabulary

__all__ = ["AnswerConstraint", "ConstraintCompiler"]

# A hostile schema must cost milliseconds, not minutes.
_LIMITS = llguidance.LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=50_000,
    max_grammar_size=200_000,
    verbose_errors=False,
)
# Unlimited white space between JSON tokens lets a weak model write blanks until its answer is cut.
_JSON_OPTIONS = {"whitespace_pattern": r"[ \n\t]{1,24}"}
_MAX_BLANKS = 4
_MAX_TEXT = 1_000_000
_PARAM = "response_format"


class ConstraintCompiler:
    """Compiles grammars for one vocabulary. One thread, beside the engine thread.

    `make_tokenizer` costs a second for a large vocabulary, so it is called with the first grammar.
    """

    def __init__(self, vocabulary: Vocabulary, make_tokenizer: Callable[[], Any]) -> None:
        self._vocabulary = vocabulary
        self._make_tokenizer = make_tokenizer
        self._tokenizer: Any = None

    def compile(self, constraint: Constraint) -> AnswerConstraint:
        """Raises InvalidRequest naming `response_format`, with llguidance's own explanation."""
        grammar = _grammar(constraint, self._special_token)
        if self._tokenizer is None:
            self._tokenizer = self._make_tokenizer()
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise InvalidRequest(f"The schema can't be used: {_first_line(matcher.get_error())}", param=_PARAM)
        return AnswerConstraint(matcher, self._vocabulary, after=constraint.after)

    def _special_token(self, text: str) -> int | None:
        ids = self._vocabulary.tokenize(text, parse_special=True)
        return ids[0] if len(ids) == 1 and self._vocabulary.is_control(ids[0]) else None


class AnswerConstraint:
    """Where one answer stands in its grammar. Engine thread only, once it is made.

    Until `after` has appeared the text is free. If the model would end its answer there, `after` is put in for it. Between
    `after` and the grammar's own text a few blanks may stand, as models write them.
    """

    def __init__(self, matcher: Any, vocabulary: Vocabulary, *, after: str = "") -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._after = after.encode()
        self._tail = b""
        self._free = bool(after)
        self._blanks_left = _MAX_BLANKS if after else 0
        self._mask = np.zeros((vocabulary.n_tokens + 31) // 32, np.int32)

    @property
    def finished(self) -> bool:
        """Whether the grammar allows nothing more."""
        return not self._free and bool(self._matcher.is_stopped())

    def forced(self) -> list[int]:
        """Tokens that must come next, with no choice left."""
        if self._free or self._blanks_left or self._matcher.is_stopped():
            return []
        return [int(token) for token in self._matcher.compute_ff_tokens()]

    def instead_of_ending(self) -> list[int]:
        """Tokens to put in where the model wants to end although its free part has not been closed."""
        return self._vocabulary.tokenize(self._after.decode(), parse_special=True) if self._free else []

    def allows(self, token: int) -> bool:
        if not self._free:
            return self._is_next(token) or self._is_leading_blank(token)
        rest = self._rest(token)
        return rest is None or not rest.strip() or self._takes(rest)

    def allowed(self) -> IntArray:
        """Every token the grammar takes next, at least one. In the free part, everything."""
        if self._free:
            return np.arange(self._vocabulary.n_tokens, dtype=np.int32)
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)
        self._check()
        bits = np.unpackbits(self._mask.view(np.uint8), bitorder="little")[: self._vocabulary.n_tokens]
        ids = np.flatnonzero(bits).astype(np.int32)
        if not len(ids):
            raise GenerationFailed("The grammar of the answer left no token to choose.")
        return ids

    def accept(self, token: int) -> None:
        """Move on by a token that `allows` has approved."""
        if not self._free:
            self._advance(token)
            return
        rest = self._rest(token)
        if rest is None:
            self._tail = (self._tail + self._vocabulary.piece(token))[-len(self._after) :]
            return
        self._free = False
        if rest.strip():
            self._blanks_left = 0
            self._matcher.consume_tokens(self._tokens(rest))
            self._check()

    def _advance(self, token: int) -> None:
        if self._blanks_left and self._is_leading_blank(token) and not self._is_next(token):
            self._blanks_left -= 1
            return
        self._blanks_left = 0
        self._matcher.consume_token(token)
        self._check()

    def _is_next(self, token: int) -> bool:
        return int(self._matcher.validate_tokens([token])) == 1

    def _is_leading_blank(self, token: int) -> bool:
        return self._blanks_left > 0 and self._vocabulary.piece(token).isspace()

    def _rest(self, token: int) -> bytes | None:
        """What follows `after` once `token` is added to the free text; None if it is still not there."""
        text = self._tail + self._vocabulary.piece(token)
        at = text.find(self._after)
        return None if at < 0 else text[at + len(self._after) :]

    def _takes(self, rest: bytes) -> bool:
        tokens = self._tokens(rest)
        return int(self._matcher.validate_tokens(tokens)) == len(tokens)

    def _tokens(self, rest: bytes) -> list[int]:
        return self._vocabulary.tokenize(rest.decode("utf-8", "replace"), parse_special=False)

    def _check(self) -> None:
        if self._matcher.is_error():
            raise GenerationFailed(f"The grammar of the answer became too complex: {_first_line(self._matcher.get_error())}")


def _grammar(constraint: Constraint, special_token: Callable[[str], int | None]) -> str:
    text = constraint.lark_for(special_token) if constraint.json_schema is None else constraint.json_schema
    if not text:
        raise InvalidRequest("A constraint needs a JSON schema or a grammar.", param=_PARAM)
    if len(text) > _MAX_TEXT:
        raise InvalidRequest(f"A schema may have at most {_MAX_TEXT} characters; this one has {len(text)}.", param=_PARAM)
    try:
        if constraint.json_schema is None:
            return str(llguidance.LLMatcher.grammar_from_lark(text))
        return str(llguidance.LLMatcher.grammar_from_json_schema(text, defaults=_JSON_OPTIONS))
    except ValueError as error:
        raise InvalidRequest(f"The schema can't be used: {_first_line(str(error))}", param=_PARAM) from error


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else "unknown error"
