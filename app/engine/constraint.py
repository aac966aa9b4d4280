"""Answers that conform to a grammar: compiling it, and holding an answer to it token by token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import llguidance
import numpy as np

from app.domain.errors import GenerationFailed, InvalidRequest
from app.domain.prompt import Constraint
from app.domain.schema import GRAMMAR_LIMITS, load_schema
from app.engine.decoder import IntArray, Vocabulary
from app.engine.free_text import FreeText
from app.engine.grammar_tokenizer import GrammarTokenizer, MakeTokenizer

__all__ = ["Allowed", "AnswerConstraint", "ConstraintCompiler"]

_LIMITS = llguidance.LLParserLimits(**GRAMMAR_LIMITS)
# Unlimited white space between JSON tokens lets a weak model write blanks until its answer is cut.
_JSON_OPTIONS = {"whitespace_pattern": r"[ \n\t]{1,24}"}
_MAX_BLANKS = 4
_MAX_TEXT = 2_000_000
_MOST_KEPT = 16
# Larger ones can take many megabytes.
_LONGEST_KEPT = 100_000
# With more tokens allowed than one in this many, it is cheaper to rule out the others.
_DENSE = 8


class ConstraintCompiler:
    """Compiles grammars for one vocabulary. One thread, beside the engine thread.

    A client that uses the same schema or the same tools again gets what was compiled for it the first time.
    """

    def __init__(self, vocabulary: Vocabulary, make_tokenizer: MakeTokenizer) -> None:
        self._vocabulary = vocabulary
        self._tokenizer = GrammarTokenizer(make_tokenizer)
        self._compiled: dict[Constraint, Any] = {}

    def start(self, is_idle: Callable[[], bool]) -> None:
        """Begin to build what the first grammar needs, once `is_idle`. `close` must follow before the vocabulary goes."""
        self._tokenizer.start(is_idle)

    def close(self) -> None:
        self._tokenizer.close()

    def compile(self, constraint: Constraint) -> AnswerConstraint:
        """Raises InvalidRequest naming the constraint's `param`, with llguidance's own explanation."""
        key = replace(constraint, begun="")
        matcher = self._compiled.pop(key, None)
        if matcher is None:
            matcher = self._new_matcher(key)
        if len(constraint.lark or constraint.json_schema or "") <= _LONGEST_KEPT:
            # The one used last is the last to go.
            self._compiled[key] = matcher
            if len(self._compiled) > _MOST_KEPT:
                del self._compiled[next(iter(self._compiled))]
        return AnswerConstraint(matcher.deep_copy(), self._tokenizer.get(), self._vocabulary, constraint)

    def _new_matcher(self, constraint: Constraint) -> Any:
        grammar = _grammar(constraint, self._special_token)
        matcher = llguidance.LLMatcher(self._tokenizer.get(), grammar, log_level=0, limits=_LIMITS)
        if not matcher.is_error():
            # The first mask is the most expensive one, and shows whether anything conforms at all.
            matcher.compute_bitmask()
        if matcher.is_error():
            what = "grammar" if constraint.lark else "schema"
            said = matcher.get_error()
            why = "no answer conforms to it." if "NoExtension" in said else _first_line(said)
            raise InvalidRequest(f"The {what} can't be used: {why}", param=constraint.param)
        return matcher

    def _special_token(self, text: str) -> int | None:
        ids = self._vocabulary.tokenize(text, parse_special=True)
        return ids[0] if len(ids) == 1 and self._vocabulary.is_control(ids[0]) else None


@dataclass(frozen=True, slots=True)
class Allowed:
    """The tokens that may come next: `ids`, at least one; or, where that is shorter, all but `ids`."""

    ids: IntArray
    ruled_out: bool = False


class AnswerConstraint:
    """Where one answer stands in its grammar. Engine thread only, once it is made.

    If the model would end its answer while it still owes the grammar's text, `after` is put in for it. Between `after` and the
    grammar's own text a few blanks may stand, as models write them.
    """

    def __init__(self, matcher: Any, tokenizer: Any, vocabulary: Vocabulary, constraint: Constraint) -> None:
        self._matcher = matcher
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._after = constraint.after
        self._repeats = bool(constraint.triggers)
        self._free = FreeText(constraint) if constraint.after or constraint.triggers else None
        self._blanks_left = _MAX_BLANKS if constraint.after and not constraint.triggers else 0
        self._stopped = False
        # A whole number of 64-bit words.
        self._mask = np.zeros((vocabulary.n_tokens + 63) // 64, np.uint64)
        self._mask_bytes = 4 * ((vocabulary.n_tokens + 31) // 32)
        if constraint.begun and self._free is None and self._takes(constraint.begun.encode()):
            self._consume(self._tokens(constraint.begun.encode()))

    @property
    def finished(self) -> bool:
        """Whether the grammar allows nothing more."""
        return self._stopped

    def forced(self) -> list[int]:
        """Tokens that must come next, with no choice left."""
        if self._is_free or self._blanks_left or self._stopped:
            return []
        return list(self._matcher.compute_ff_tokens())

    def instead_of_ending(self) -> list[int]:
        """Tokens to put in where the model wants to end although its free part has not been closed."""
        owes = self._is_free and not self._repeats
        return self._vocabulary.tokenize(self._after, parse_special=True) if owes else []

    def allows(self, token: int) -> bool:
        if self._free is None or not self._free.lasts:
            return self._is_next(token) or self._is_leading_blank(token)
        rest = self._free.behind(self._vocabulary.piece(token))
        return not rest or not self._binds(rest) or self._takes(rest)

    def allowed(self, *, but: int) -> Allowed:
        """Every token that may come next, `but` one that `allows` has refused."""
        if self._is_free:
            return Allowed(np.array([but], np.int32), ruled_out=True)
        self._matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask_bytes)
        if self._matcher.is_error():
            self._fail()
        n_allowed = int(np.bitwise_count(self._mask).sum())
        if not n_allowed:
            raise GenerationFailed("The grammar of the answer left no token to choose.")
        if n_allowed * _DENSE < self._vocabulary.n_tokens:
            return Allowed(self._bits(self._mask))
        return Allowed(self._bits(~self._mask), ruled_out=True)

    def accept(self, token: int) -> None:
        """Move on by a token that `allows` has approved."""
        if self._free is None or not self._free.lasts:
            self._advance(token)
            return
        rest = self._free.read(self._vocabulary.piece(token))
        if rest and self._binds(rest):
            self._blanks_left = 0
            self._consume(self._tokens(rest))

    @property
    def _is_free(self) -> bool:
        return self._free is not None and self._free.lasts

    def _advance(self, token: int) -> None:
        if self._blanks_left:
            if self._is_leading_blank(token) and not self._is_next(token):
                self._blanks_left -= 1
                return
            self._blanks_left = 0
        self._consume([token])

    def _consume(self, tokens: list[int]) -> None:
        if not self._matcher.consume_tokens(tokens):
            self._fail()
        if not self._matcher.is_stopped():
            return
        if self._repeats and self._free is not None:
            self._matcher.reset()
            self._free.begin_again()
        else:
            self._stopped = True

    def _binds(self, rest: bytes) -> bool:
        """Whether the grammar has to take what stands in the same token as the end of the free text."""
        return self._repeats or bool(rest.strip())

    def _is_next(self, token: int) -> bool:
        return bool(self._matcher.validate_tokens([token]))

    def _is_leading_blank(self, token: int) -> bool:
        return self._blanks_left > 0 and self._vocabulary.piece(token).isspace()

    def _takes(self, rest: bytes) -> bool:
        tokens = self._tokens(rest)
        return int(self._matcher.validate_tokens(tokens)) == len(tokens)

    def _tokens(self, rest: bytes) -> list[int]:
        # Any tokens that spell it will do. The vocabulary's own tokenizer might put a space in front.
        return list(self._tokenizer.greedy_tokenize(rest.decode("utf-8", "replace")))

    def _bits(self, words: np.ndarray[Any, np.dtype[np.uint64]]) -> IntArray:
        """Numbers of the bits that are set."""
        filled = np.flatnonzero(words)
        bits = np.unpackbits(words[filled].view(np.uint8).reshape(len(filled), 8), axis=1, bitorder="little")
        rows, columns = np.nonzero(bits)
        ids = (filled[rows] * 64 + columns).astype(np.int32)
        return ids[ids < self._vocabulary.n_tokens]

    def _fail(self) -> None:
        raise GenerationFailed(f"The grammar of the answer became too complex: {_first_line(self._matcher.get_error())}")


def _grammar(constraint: Constraint, special_token: Callable[[str], int | None]) -> str:
    try:
        if constraint.json_schema is not None:
            load_schema(constraint.json_schema, what="The schema", param=constraint.param)
            return str(llguidance.LLMatcher.grammar_from_json_schema(constraint.json_schema, defaults=_JSON_OPTIONS))
        lark = constraint.lark_for(special_token)
        if not lark:
            raise InvalidRequest("A constraint needs a JSON schema or a grammar.", param=constraint.param)
        if len(lark) > _MAX_TEXT:
            why = f"A grammar may have at most {_MAX_TEXT} characters; this has {len(lark)}."
            raise InvalidRequest(why, param=constraint.param)
        return str(llguidance.LLMatcher.grammar_from_lark(lark))
    except ValueError as error:
        raise InvalidRequest(f"The schema can't be used: {_first_line(str(error))}", param=constraint.param) from error


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else "unknown error"
