"""The JSON Schemas of answers and of calls: what can be done with them, said before anything runs."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import llguidance

from app.domain.errors import InvalidRequest
from app.domain.generation import Tool
from app.domain.schema import GRAMMAR_LIMITS, load_schema
from app.formats.enforced_schema import EnforcedSchema, enforced

__all__ = ["enforced_schema", "is_usable", "lark_problem", "parameters_of", "problem_of"]

# Of grammars that have been looked at.
_LONGEST_KEPT = 50_000
_LONGEST_LARK_KEPT = 2_000_000
_MOST_NAMED = 5


def enforced_schema(text: str, *, strict: bool, what: str, param: str) -> EnforcedSchema:
    """What of a schema a grammar can hold an answer to. Raises InvalidRequest for a schema that can't be used at all, and for
    one that can't be wholly enforced where that is asked for. `what` begins its sentence."""
    schema = load_schema(text, what=what, param=param)
    found = _enforced_before(text) if len(text) <= _LONGEST_KEPT else enforced(schema, _compiles)
    if problem := _schema_problem(found.text):
        raise InvalidRequest(f"{what} can't be used: {_first_line(problem)}", param=param)
    if strict and found.left_out:
        named = ", ".join(found.left_out[:_MOST_NAMED])
        raise InvalidRequest(
            f"{what} can't be enforced as 'strict' demands, because of {named}. Leave that out, or 'strict'.", param=param
        )
    return found


def parameters_of(tool: Tool) -> dict[str, Any]:
    """The schema of a call's arguments, as far as a grammar holds them to it. Raises InvalidRequest for one that can't be
    used, or that is strict and can't be enforced."""
    what = f"The schema of the function '{tool.name}'"
    schema = load_schema(tool.parameters, what=what, param="tools")
    complete = json.dumps({"type": "object", **(schema if isinstance(schema, dict) else {})})
    usable: dict[str, Any] = json.loads(enforced_schema(complete, strict=tool.strict, what=what, param="tools").text)
    return usable


def is_usable(tool: Tool) -> bool:
    try:
        parameters_of(tool)
    except InvalidRequest:
        return False
    return True


def lark_problem(lark: str) -> str:
    """What keeps a grammar in Lark from being used; "" for nothing. Its first step is tried too: many fail only there."""
    return _lark_found_before(lark) if len(lark) <= _LONGEST_LARK_KEPT else _lark_found(lark)


def problem_of(grammar: str) -> str:
    """What llguidance says against a grammar; "" for nothing. Clients send the same tools with every request."""
    return _found_before(grammar) if len(grammar) <= _LONGEST_KEPT else _found(grammar)


def _schema_problem(schema: str) -> str:
    try:
        return problem_of(llguidance.LLMatcher.grammar_from_json_schema(schema))
    except ValueError as error:
        return str(error)


def _compiles(schema: str) -> bool:
    return not _schema_problem(schema)


@lru_cache(maxsize=128)
def _enforced_before(text: str) -> EnforcedSchema:
    return enforced(json.loads(text), _compiles)


def _found(grammar: str) -> str:
    return str(llguidance.LLMatcher.validate_grammar(grammar, limits=llguidance.LLParserLimits(**GRAMMAR_LIMITS)))


_found_before = lru_cache(maxsize=128)(_found)


def _lark_found(lark: str) -> str:
    limits = llguidance.LLParserLimits(**GRAMMAR_LIMITS)
    grammar = llguidance.LLMatcher.grammar_from_lark(lark)
    matcher = llguidance.LLMatcher(llguidance.LLTokenizer("byte"), grammar, log_level=0, limits=limits)
    if not matcher.is_error():
        matcher.compute_bitmask()
    return _first_line(matcher.get_error()) if matcher.is_error() else ""


_lark_found_before = lru_cache(maxsize=8)(_lark_found)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300]
