"""The grammar of one argument's value, from the schema of the argument."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.formats.argument_kinds import ArgumentKinds, json_type
from app.formats.lark import Lark
from app.formats.spec import TaggedArguments

__all__ = ["JSON_SPACING", "LiteralValues", "TaggedValues", "Values"]

# The spacing that models write by themselves, and the one that can't go astray in blanks.
JSON_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_DEFINITIONS = ("$defs", "definitions")
_MAX_TEXT = 10_000
_MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Values:
    """What the values of one function's arguments are made of. `schema` is the function's; `name` begins all rules."""

    lark: Lark
    name: str
    schema: Mapping[str, Any]

    def json(self, schema: Any) -> str:
        """JSON that conforms to a part of the function's schema, which may refer to its definitions."""
        definitions = {key: self.schema[key] for key in _DEFINITIONS if key in self.schema}
        complete = {**(schema if isinstance(schema, dict) else {}), **definitions, "x-guidance": JSON_SPACING}
        return f"%json {json.dumps(complete)}"


class TaggedValues:
    """Values between markers, with the marker behind them: a text as it is, anything else as JSON."""

    def __init__(self, values: Values, syntax: TaggedArguments) -> None:
        self._values = values
        self._syntax = syntax
        self._kinds = ArgumentKinds(values.schema)

    def of(self, name: str, schema: Any, *, end: str) -> str:
        """What stands behind an argument's name: its end, the value, and `end`. `name` is for rules of its own."""
        return f"({' | '.join(self._choices(name, schema, end, 0))})"

    def text(self, name: str, schema: Any, *, end: str) -> str:
        size = _size(schema)[0]
        return (
            f"{self._values.lark.text(self._syntax.name_end)} {self._values.lark.text_until(f'TEXT_{name}'.upper(), end, size)}"
        )

    def _choices(self, name: str, schema: Any, end: str, depth: int) -> list[str]:
        schema = self._kinds.resolved(schema)
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return [self.text(name, {}, end=end)]
        if (listed := _listed(schema)) is not None:
            return [self._constant(value, end) for value in listed]
        if parts := _alternatives(schema):
            return [
                choice for index, part in enumerate(parts) for choice in self._choices(f"{name}_{index}", part, end, depth + 1)
            ]
        types = self._kinds.types(schema)
        if not types or "string" in types:
            return [self.text(name, schema, end=end)]
        return [
            f"{self._json_end(types)} {self._values.lark.rule(name, self._values.json(schema))} {self._values.lark.text(end)}"
        ]

    def _constant(self, value: Any, end: str) -> str:
        lark = self._values.lark
        if isinstance(value, str):
            return lark.text(self._syntax.name_end + value + end)
        return f"{self._json_end({json_type(value)})} {lark.text(json.dumps(value, ensure_ascii=False) + end)}"

    def _json_end(self, types: set[str]) -> str:
        named = {"number" if one == "integer" else one for one in types}
        ends = [end for kind in sorted(named) if (end := self._syntax.json_name_end.replace("{type}", kind))]
        return f"({' | '.join(map(self._values.lark.text, dict.fromkeys(ends or [self._syntax.name_end])))})"


class LiteralValues:
    """Values as literals of Python or of Gemma's own notation."""

    def __init__(self, values: Values, dialect: Literal["python", "gemma"]) -> None:
        self._values = values
        self._dialect = dialect
        self._words = {"python": ("True", "False", "None"), "gemma": ("true", "false", "null")}[dialect]

    def of(self, name: str, schema: Any) -> str:
        return self._values.lark.rule(name, self._value(name, schema, 0))

    def anything(self) -> str:
        """Any literal."""
        lark = self._values.lark
        if lark.reserve("literal"):
            text, item = self._text(None), "literal"
            key = f"{text} {lark.text(': ')}" if self._dialect == "python" else 'GEMMA_KEY ":"'
            if self._dialect == "gemma":
                lark.rule("GEMMA_KEY", "/[A-Za-z0-9_]{1,64}/")
            comma = lark.text(self._comma)
            words = " | ".join(json.dumps(word) for word in self._words)
            lark.define(
                "literal",
                f'{text} | {self._values.json({"type": "number"})} | {words} | "[" ({item} ({comma} {item})*)? "]"'
                f' | "{{" ({key} {item} ({comma} {key} {item})*)? "}}"',
            )
        return "literal"

    @property
    def _comma(self) -> str:
        return ", " if self._dialect == "python" else ","

    def _value(self, name: str, schema: Any, depth: int) -> str:
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return self.anything()
        if (listed := _listed(schema)) is not None:
            return " | ".join(map(self._constant, listed))
        if isinstance(schema.get("$ref"), str):
            return self._referred(schema["$ref"], depth)
        if parts := _alternatives(schema):
            return self._union(name, parts, depth)
        return self._typed(name, str(schema.get("type")), schema, depth)

    def _union(self, name: str, schemas: list[dict[str, Any]], depth: int) -> str:
        lark = self._values.lark
        rules = [
            lark.rule(f"{name}_{index}", self._value(f"{name}_{index}", one, depth + 1)) for index, one in enumerate(schemas)
        ]
        return " | ".join(rules) or self.anything()

    def _typed(self, name: str, kind: str, schema: dict[str, Any], depth: int) -> str:
        match kind:
            case "string":
                return self._text(schema)
            case "integer" | "number":
                return self._values.json(schema)
            case "boolean":
                return f"{json.dumps(self._words[0])} | {json.dumps(self._words[1])}"
            case "null":
                return json.dumps(self._words[2])
            case "array":
                return self._array(name, schema, depth)
            case "object":
                return self._object(name, schema, depth)
            case _:
                return self.anything()

    def _array(self, name: str, schema: dict[str, Any], depth: int) -> str:
        lark = self._values.lark
        item = lark.rule(f"{name}_item", self._value(f"{name}_item", schema.get("items"), depth + 1))
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        if not isinstance(least, int) or least <= 0:
            more = f"{{0,{most - 1}}}" if isinstance(most, int) and most > 0 else "*"
            inner = "" if most == 0 else f"({item} ({lark.text(self._comma)} {item}){more})?"
        else:
            bound = most - 1 if isinstance(most, int) and most >= least else ""
            inner = f"{item} ({lark.text(self._comma)} {item}){{{least - 1},{bound}}}"
        return f'"[" {inner} "]"'

    def _object(self, name: str, schema: dict[str, Any], depth: int) -> str:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            return self.anything() if schema.get("additionalProperties", True) is not False else '"{" "}"'
        lark = self._values.lark
        pairs = [
            (
                f"{self._key(key)} " + lark.rule(f"{name}_{index}", self._value(f"{name}_{index}", one, depth + 1)),
                key in (schema.get("required") or ()),
            )
            for index, (key, one) in enumerate(properties.items())
        ]
        return f'"{{" {sequence(lark, f"{name}_pairs", pairs, self._comma)} "}}"'

    def _key(self, key: str) -> str:
        lark = self._values.lark
        return lark.text(f"{key!r}: ") if self._dialect == "python" else lark.text(f"{key}:")

    def _referred(self, reference: str, depth: int) -> str:
        node: Any = self._values.schema
        for step in reference.lstrip("#").split("/")[1:]:
            node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
        lark = self._values.lark
        plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in reference).lower()
        name = f"{self._values.name}_ref_{plain}"
        if lark.reserve(name):
            lark.define(name, self._value(f"{name}_x", node, depth + 1))
        return name

    def _constant(self, value: Any) -> str:
        lark = self._values.lark
        if isinstance(value, str):
            return lark.text(repr(value) if self._dialect == "python" else f'<|"|>{value}<|"|>')
        word = self._words[(True, False, None).index(value)] if value is None or isinstance(value, bool) else json.dumps(value)
        return lark.text(word)

    def _text(self, schema: Any) -> str:
        lark = self._values.lark
        size, suffix = _size(schema)
        if self._dialect == "python":
            quoted = [rf"{quote}([^{quote}\\\n]|\\[nrt'\"\\]){size}{quote}" for quote in ("'", '"')]
            return lark.rule(f"PYTHON_TEXT{suffix}", f"/{'|'.join(quoted)}/")
        quote = '<|"|>'
        return f"{lark.text(quote)} {lark.text_until(f'GEMMA_TEXT{suffix}', quote, size)}"


def sequence(lark: Lark, name: str, items: list[tuple[str, bool]], separator: str) -> str:
    """Items in their order, each given with whether it must come, joined by `separator`."""
    joint = lark.text(separator)
    rest = ""
    starts: list[str] = []
    for index in range(len(items) - 1, -1, -1):
        item, required = items[index]
        following = rest
        starts = [f"{item} {following}", *([] if required else starts)]
        behind = f"{joint} {item} {following}".strip()
        rest = lark.rule(
            f"{name}_{index}", behind if required else f"({behind} | {following})" if following else f"({behind})?"
        )
    optional = not any(required for _, required in items)
    body = " | ".join(starts)
    return f"({body})?" if optional and body else f"({body})" if body else ""


def _size(schema: Any) -> tuple[str, str]:
    """How often a character may be repeated in a text, as a regular expression says it, and for the name of a terminal."""
    shortest, longest = _bounds(schema)
    if (shortest, longest) == (0, None):
        return "*", ""
    return f"{{{shortest},{'' if longest is None else longest}}}", f"_{shortest}_{'N' if longest is None else longest}"


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of which a value has to fit one, each with what holds for all; none where there is no choice."""
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            common = {name: value for name, value in schema.items() if name != key}
            return [{**common, **one} for one in schema[key] if isinstance(one, dict)]
    kind = schema.get("type")
    return [{**schema, "type": one} for one in kind] if isinstance(kind, list) and len(kind) > 1 else []


def _listed(schema: Any) -> list[Any] | None:
    """The only values that a schema takes, where it lists them."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return [schema["const"]]
    listed = schema.get("enum")
    return listed if isinstance(listed, list) and listed else None


def _bounds(schema: Any) -> tuple[int, int | None]:
    """The lengths that a schema allows a text."""
    if not isinstance(schema, dict):
        return 0, None
    shortest, longest = schema.get("minLength"), schema.get("maxLength")
    low = shortest if isinstance(shortest, int) and 0 < shortest <= _MAX_TEXT else 0
    high = longest if isinstance(longest, int) and 0 <= longest <= _MAX_TEXT else None
    return low, high
