"""Finding one's way in a JSON Schema: where in it schemas stand, and taking keywords out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

__all__ = ["Place", "pointer", "subschemas", "without"]

Place: TypeAlias = tuple[str | int, ...]

_SCHEMA = frozenset(
    {
        *("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not"),
        *("propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
    }
)
_LIST = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_MAP = frozenset({"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"})


def subschemas(schema: object) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Every subschema that is an object, the schema itself first, each with the steps that lead to it."""
    ahead: list[tuple[Place, object]] = [((), schema)]
    while ahead:
        place, node = ahead.pop()
        if not isinstance(node, dict):
            continue
        yield place, node
        ahead += reversed([found for keyword, value in node.items() for found in _below(place, keyword, value)])


def _below(place: Place, keyword: str, value: object) -> Iterator[tuple[Place, object]]:
    if keyword in _SCHEMA and isinstance(value, dict):
        yield (*place, keyword), value
    elif keyword in _LIST and isinstance(value, list):
        yield from (((*place, keyword, index), one) for index, one in enumerate(value))
    elif keyword in _MAP and isinstance(value, dict):
        yield from (((*place, keyword, name), one) for name, one in value.items())


def without(schema: Any, places: Sequence[Place], *, take_out: Callable[[dict[str, Any], str], None]) -> Any:
    """A copy in which `take_out` was called with the subschema and the keyword at each of `places`."""
    copied = _copy(schema)
    # Inner ones first: what stands around them may move.
    for place in sorted(places, key=len, reverse=True):
        node = copied
        for step in place[:-1]:
            node = node[step]
        take_out(node, str(place[-1]))
    return copied


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value


def pointer(place: Place) -> str:
    """A place as RFC 6901 writes it."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in place)
