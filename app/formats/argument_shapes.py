"""Which arguments a function's schema asks for, wherever it says so: behind a reference, in several parts, or in a choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Shape", "listed_alone", "referred", "shapes_of"]

_MAX_DEPTH = 16
_MAX_SHAPES = 16
# References may multiply a small schema without end.
_MAX_PARTS = 1_000
_JOINTS = ("$ref", "allOf", "anyOf", "oneOf")
# What lets further arguments pass, or says which, apart from the list of them.
_OPENINGS = (*_JOINTS, "additionalProperties", "patternProperties")


@dataclass(frozen=True, slots=True)
class Shape:
    """One set of arguments. `others` is the schema of those with names of their own; None where there are none."""

    properties: Mapping[str, Any]
    required: frozenset[str]
    others: Any = None

    def __iter__(self) -> Iterator[tuple[str, Any, bool]]:
        """Name, schema, and whether it must come."""
        for name, schema in self.properties.items():
            yield name, schema, name in self.required
        for name in sorted(self.required - self.properties.keys()):
            yield name, {} if self.others is None else self.others, True


def shapes_of(root: Mapping[str, Any]) -> tuple[Shape, ...]:
    """The sets of arguments of which a call has to bring one; with too many to choose from, what they have in common."""
    parts = _Parts(root).choices(root, 0)
    return tuple(map(_shape, parts))


def listed_alone(schema: dict[str, Any]) -> dict[str, Any]:
    """A function's schema that lists its arguments and says nothing of others, closed to others: a function would not know
    what to do with what a weak model makes up."""
    if not isinstance(schema.get("properties"), dict) or any(keyword in schema for keyword in _OPENINGS):
        return schema
    return {**schema, "additionalProperties": False}


def referred(root: Any, reference: str) -> Any:
    """What a reference inside the schema `root` refers to; None for one to elsewhere or to nothing."""
    if not reference.startswith("#"):
        return None
    node = root
    for step in reference[1:].split("/")[1:]:
        node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return node


class _Parts:
    """Takes a schema apart. `root` is what its references refer to."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._n_left = _MAX_PARTS

    def choices(self, schema: Any, depth: int) -> list[dict[str, Any]]:
        """`schema` as alternatives that have no references and parts of their own."""
        self._n_left -= 1
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH or self._n_left < 0:
            return [{}]
        found = [{key: value for key, value in schema.items() if key not in _JOINTS}]
        reference = schema.get("$ref")
        parts = [[referred(self._root, reference)]] if isinstance(reference, str) else []
        parts += [[part] for part in _list(schema, "allOf")]
        parts += [options for key in ("anyOf", "oneOf") if (options := _list(schema, key))]
        for options in parts:
            written = [one for option in options for one in self.choices(option, depth + 1)]
            if len(found) * len(written) <= _MAX_SHAPES:
                found = [_joined(one, other) for one in found for other in written]
        return found


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What holds where both hold."""
    joined = {**other, **one}
    if "properties" in one and "properties" in other:
        joined["properties"] = dict(other["properties"])
        for name, schema in one["properties"].items():
            before = joined["properties"].get(name, schema)
            joined["properties"][name] = schema if before == schema else {"allOf": [before, schema]}
    joined["required"] = [*_list(one, "required"), *_list(other, "required")]
    return joined


def _shape(schema: dict[str, Any]) -> Shape:
    properties = schema.get("properties")
    required = frozenset(name for name in _list(schema, "required") if isinstance(name, str))
    others = schema.get("additionalProperties", {})
    # A schema that lists arguments, or says that it lists none, means those alone, whatever else JSON Schema lets pass.
    is_closed = others is False or (isinstance(properties, dict) and (not properties or others in ({}, True)))
    return Shape(
        properties if isinstance(properties, dict) else {},
        required,
        None if is_closed else {} if others is True else others,
    )
