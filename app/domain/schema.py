"""JSON Schemas as they come from outside: what is too much of one, said before anything is compiled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from app.domain.errors import InvalidRequest

__all__ = ["GRAMMAR_LIMITS", "MAX_PROPERTIES_IN_ALL", "load_schema", "n_properties"]

# For llguidance's LLParserLimits: a hostile schema must cost milliseconds, not minutes.
GRAMMAR_LIMITS: dict[str, Any] = {
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 50_000,
    # Each optional property makes four.
    "max_items_in_row": 5_000,
    "max_lexer_states": 50_000,
    "max_grammar_size": 200_000,
    "verbose_errors": False,
}
_MAX_CHARS = 1_000_000
# The time to compile an object grows with the square of its properties.
_MAX_PROPERTIES = 1_000
MAX_PROPERTIES_IN_ALL = 5_000
_MAX_DEPTH = 100
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def load_schema(text: str, *, what: str, param: str) -> dict[str, Any] | bool:
    """The schema's value. `what` begins the sentence of the InvalidRequest that names `param`."""
    if len(text) > _MAX_CHARS:
        raise InvalidRequest(f"{what} may have at most {_MAX_CHARS} characters; it has {len(text)}.", param=param)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{what} is not valid JSON: {error}", param=param) from error
    if not isinstance(value, dict | bool):
        raise InvalidRequest(f"{what} must be a JSON object.", param=param)
    problem = _too_much(value)
    if problem:
        raise InvalidRequest(f"{what} can't be used: {problem}.", param=param)
    return value


def n_properties(schema: object) -> int:
    """How many properties the objects of a schema have in all."""
    return sum(n_here for n_here, _ in _objects(schema))


def _too_much(schema: object) -> str | None:
    """What exceeds a bound."""
    n_in_all = 0
    for n_here, depth in _objects(schema):
        if depth > _MAX_DEPTH:
            return f"it is nested more than {_MAX_DEPTH} deep"
        n_in_all += n_here
        if n_here > _MAX_PROPERTIES:
            return f"an object in it has {n_here} properties, and at most {_MAX_PROPERTIES} are possible"
    if n_in_all > MAX_PROPERTIES_IN_ALL:
        return f"it has {n_in_all} properties in all, and at most {MAX_PROPERTIES_IN_ALL} are possible"
    return None


def _objects(schema: object) -> Iterator[tuple[int, int]]:
    """Of each value in a schema the number of properties that it names, and its depth."""
    ahead: list[tuple[object, int]] = [(schema, 0)]
    while ahead:
        value, depth = ahead.pop()
        yield (
            max(
                (len(named) for name in _NAMED if isinstance(value, dict) and isinstance(named := value.get(name), dict)),
                default=0,
            ),
            depth,
        )
        if isinstance(value, list):
            ahead += [(item, depth + 1) for item in value]
        elif isinstance(value, dict):
            ahead += [(item, depth + 1) for item in value.values()]
