"""The JSON Schemas of answers and of calls: what can be done with them, said before anything runs."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import llguidance

from app.domain.errors import InvalidRequest
from app.domain.generation import JsonObjectFormat, JsonSchemaFormat, OutputFormat, TextFormat, Tool
from app.domain.schema import GRAMMAR_LIMITS, load_schema

__all__ = ["is_usable", "parameters_of", "problem_of", "schema_of"]

# Of grammars that have been looked at.
_LONGEST_KEPT = 50_000


def schema_of(output: OutputFormat) -> str | None:
    """The JSON Schema an answer must conform to; None for free text. Raises InvalidRequest for one that can't be used."""
    match output:
        case TextFormat():
            return None
        case JsonObjectFormat():
            return '{"type": "object"}'
        case JsonSchemaFormat(schema=schema):
            _require_usable(schema, "The schema", "response_format")
            return schema


def parameters_of(tool: Tool) -> dict[str, Any]:
    """The schema of a call's arguments. Raises InvalidRequest for one that can't be used."""
    what = f"The schema of the function '{tool.name}'"
    schema = load_schema(tool.parameters, what=what, param="tools")
    complete: dict[str, Any] = {"type": "object", **(schema if isinstance(schema, dict) else {})}
    _require_usable(json.dumps(complete), what, "tools")
    return complete


def is_usable(tool: Tool) -> bool:
    try:
        parameters_of(tool)
    except InvalidRequest:
        return False
    return True


def _require_usable(schema: str, what: str, param: str) -> None:
    """Raises InvalidRequest with llguidance's explanation."""
    load_schema(schema, what=what, param=param)
    try:
        problem = problem_of(llguidance.LLMatcher.grammar_from_json_schema(schema))
    except ValueError as error:
        problem = str(error)
    if problem:
        raise InvalidRequest(f"{what} can't be used: {problem.strip().splitlines()[0][:300]}", param=param)


def problem_of(grammar: str) -> str:
    """What llguidance says against a grammar; "" for nothing. Clients send the same tools with every request."""
    return _found_before(grammar) if len(grammar) <= _LONGEST_KEPT else _found(grammar)


def _found(grammar: str) -> str:
    return str(llguidance.LLMatcher.validate_grammar(grammar, limits=llguidance.LLParserLimits(**GRAMMAR_LIMITS)))


_found_before = lru_cache(maxsize=128)(_found)
