"""What a function's schema says of an argument: whether its value is text, JSON, or may be either."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from typing import Any

from app.formats.argument_shapes import referred, shapes_of

__all__ = ["NO_JSON", "ArgumentKinds", "Kind", "json_type", "read_json"]

_MAX_DEPTH = 16
NO_JSON: Any = object()
# Templates and models that think in Python write these as Python does.
_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null"}


class Kind(enum.Enum):
    TEXT = enum.auto()
    JSON = enum.auto()
    EITHER = enum.auto()


class ArgumentKinds:
    """Of one function; `schema` is its parameters, None for a function nobody knows."""

    def __init__(self, schema: Any = None) -> None:
        self._root = schema if isinstance(schema, dict) else {}
        self._properties, self._others = _described(self._root)

    @classmethod
    def of(cls, parameters: str) -> ArgumentKinds:
        """From a JSON Schema as text; of no kind known where that is no schema."""
        try:
            return cls(json.loads(parameters))
        except (ValueError, RecursionError):
            return cls()

    def kind(self, name: str) -> Kind:
        types = self._types(self._properties.get(name, self._others), 0)
        if types == {"string"}:
            return Kind.TEXT
        return Kind.EITHER if not types or "string" in types else Kind.JSON

    def types(self, schema: Any) -> set[str]:
        """JSON's types that a part of the function's schema takes; none if it does not say."""
        return self._types(schema, 0)

    def resolved(self, schema: Any) -> Any:
        """A part of the function's schema, or what it refers to."""
        for _ in range(_MAX_DEPTH):
            if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
                return schema
            schema = referred(self._root, schema["$ref"])
        return {}

    def json_of(self, name: str, text: str) -> str:
        """The JSON of a value written as `text`: that itself if it is JSON of a kind that the schema takes, else a string."""
        kind = self.kind(name)
        if kind is Kind.TEXT:
            return _dumped(text)
        value = read_json(text)
        written = text.strip()
        if value is NO_JSON and (word := _PYTHON_WORDS.get(written)):
            value, written = json.loads(word), word
        if value is NO_JSON or not self._takes(name, value, kind):
            return _dumped(text)
        return written

    def _takes(self, name: str, value: Any, kind: Kind) -> bool:
        if kind is Kind.JSON:
            return True
        type_, types = json_type(value), self._types(self._properties.get(name, self._others), 0)
        return type_ != "string" and (not types or type_ in types or (type_ == "integer" and "number" in types))

    def _types(self, schema: Any, depth: int) -> set[str]:
        """JSON's types that a schema takes; none if it does not say."""
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return set()
        if "type" in schema:
            types = schema["type"]
            return {str(one) for one in types} if isinstance(types, list) else {str(types)}
        if isinstance(schema.get("enum"), list):
            return {json_type(value) for value in schema["enum"]}
        if "const" in schema:
            return {json_type(schema["const"])}
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list):
                return self._union(schema[key], depth)
        if isinstance(schema.get("allOf"), list):
            found = [types for one in schema["allOf"] if (types := self._types(one, depth + 1))]
            return set.intersection(*found) if found else set()
        if isinstance(schema.get("$ref"), str):
            return self._types(referred(self._root, schema["$ref"]), depth + 1)
        return set()

    def _union(self, schemas: Iterable[Any], depth: int) -> set[str]:
        found = [self._types(one, depth + 1) for one in schemas]
        return set().union(*found) if all(found) else set()


def _described(root: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """The schemas of the arguments by their names, and that of arguments with other names."""
    shapes = shapes_of(root)
    found: dict[str, list[Any]] = {}
    for shape in shapes:
        for name, schema, _ in shape:
            found.setdefault(name, []).append(schema)
    described = {name: some[0] if len(some) == 1 else {"anyOf": some} for name, some in found.items()}
    return described, {"anyOf": [{} if shape.others is None else shape.others for shape in shapes]}


def read_json(text: str) -> Any:
    """The value of a JSON text; NO_JSON for another text, and for numbers that JSON does not have."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return NO_JSON


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _dumped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def json_type(value: Any) -> str:
    """The type of a value by its name in JSON Schema."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "null"
