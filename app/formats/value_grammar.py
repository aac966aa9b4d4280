"""The grammar of one argument's value, from the schema of the argument."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.formats.argument_kinds import ArgumentKinds, json_type
from app.formats.argument_shapes import referred
from app.formats.lark import Lark
from app.formats.spec import TaggedArguments
from app.formats.text_pattern import whole_pattern

__all__ = ["JSON_SPACING", "LiteralValues", "TaggedValues", "Values"]

# The spacing that models write by themselves, and the one that can't go astray in blanks.
JSON_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_DEFINITIONS = ("$defs", "definitions")
# What a schema's definitions call the schema itself, where it has become a part of them.
_ROOT = "root-of-this-schema"
# A terminal that counts to more costs more than a grammar may.
_MAX_TEXT = 1_000
_MAX_DEPTH = 12
_INSIDE = tuple(f"#/{key}/" for key in _DEFINITIONS)
_GEMMA_QUOTE = '<|"|>'
_PLAIN_NAME = re.compile(r"[^\s,:=(){}\[\]'\"<>|]+")
_SAID_IN_JSON = frozenset(
    [
        "allOf",
        "not",
        "pattern",
        "format",
        "prefixItems",
        "contains",
        "uniqueItems",
        "patternProperties",
        "minProperties",
        "maxProperties",
        "propertyNames",
    ]
)


@dataclass(frozen=True, slots=True)
class Values:
    """What the values of one function's arguments are made of. `schema` is the function's; `name` begins all rules."""

    lark: Lark
    name: str
    schema: Mapping[str, Any]

    def json(self, schema: Any) -> str:
        """JSON that conforms to a part of the function's schema, which may refer to its definitions."""
        part = schema if isinstance(schema, dict) else {"not": {}} if schema is False else {}
        definitions = {key: self.schema[key] for key in _DEFINITIONS if key in self.schema}
        if _refers_beyond_definitions(part) or _refers_beyond_definitions(definitions):
            definitions["$defs"] = {**definitions.get("$defs", {}), _ROOT: dict(self.schema)}
            part, definitions = _rerooted(part), _rerooted(definitions)
        return f"%json {json.dumps({**part, **definitions, 'x-guidance': JSON_SPACING})}"


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
        lark = self._values.lark
        return f"{lark.text(self._syntax.name_end)} {lark.text_until(f'TEXT_{name}'.upper(), end, _texts(schema))}"

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
        self._kinds = ArgumentKinds(values.schema)
        self._references: dict[str, str] = {}
        self._patterns: dict[str, int] = {}
        self._words = {"python": ("True", "False", "None"), "gemma": ("true", "false", "null")}[dialect]

    def of(self, name: str, schema: Any) -> str:
        return self._values.lark.rule(name, self._value(name, schema, 0))

    def anything(self) -> str:
        """Any literal."""
        lark = self._values.lark
        if lark.reserve("literal"):
            text, item, key = self._text(None), "literal", self._any_key()
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
        if self._is_said_in_json(schema):
            return self._values.json(schema)
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

    def _is_said_in_json(self, schema: dict[str, Any]) -> bool:
        """Whether a value is written as JSON, as its schema says more than can be said otherwise: its reader takes that too."""
        types = self._kinds.types(schema)
        if self._dialect == "gemma" and (not types or not types <= {"number", "integer", "boolean", "null"}):
            # Its texts are no JSON.
            return False
        return bool(_SAID_IN_JSON & schema.keys()) or (
            "object" in types and bool(set(schema.get("required") or ()) - schema.get("properties", {}).keys())
        )

    def _array(self, name: str, schema: dict[str, Any], depth: int) -> str:
        lark = self._values.lark
        item = lark.rule(f"{name}_item", self._value(f"{name}_item", schema.get("items"), depth + 1))
        least, most = schema.get("minItems"), schema.get("maxItems")
        least = least if isinstance(least, int) and least > 0 else 0
        most = most if isinstance(most, int) and most >= least else None
        if most == 0:
            return '"[" "]"'
        bounds = f"{{{max(least - 1, 0)},{'' if most is None else most - 1}}}"
        more = f"({lark.text(self._comma)} {item}){bounds}" if most != 1 else ""
        return f'"[" {item} {more} "]"' if least else f'"[" ({item} {more})? "]"'

    def _object(self, name: str, schema: dict[str, Any], depth: int) -> str:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            return self._any_object(name, schema.get("additionalProperties", True), depth)
        lark = self._values.lark
        pairs = [
            (
                f"{self._key(key)} " + lark.rule(f"{name}_{index}", self._value(f"{name}_{index}", one, depth + 1)),
                key in (schema.get("required") or ()),
            )
            for index, (key, one) in enumerate(properties.items())
        ]
        return f'"{{" {sequence(lark, f"{name}_pairs", pairs, self._comma)} "}}"'

    def _any_object(self, name: str, others: Any, depth: int) -> str:
        """An object whose keys are not known, and `others` the schema of its values."""
        if others is False:
            return '"{" "}"'
        lark = self._values.lark
        value = lark.rule(f"{name}_other", self._value(f"{name}_other", others, depth + 1))
        pair = f"{self._any_key()} {value}"
        return f'"{{" ({pair} ({lark.text(self._comma)} {pair})*)? "}}"'

    def name(self, name: str) -> str:
        """An argument's name; quoted where it could not be told from what is around it."""
        if _PLAIN_NAME.fullmatch(name):
            return name
        return repr(name) if self._dialect == "python" else f"{_GEMMA_QUOTE}{name}{_GEMMA_QUOTE}"

    def _key(self, key: str) -> str:
        return self._values.lark.text(f"{key!r}: " if self._dialect == "python" else f"{self.name(key)}:")

    def _any_key(self) -> str:
        lark = self._values.lark
        if self._dialect == "python":
            return f"{self._text(None)} {lark.text(': ')}"
        return f'{lark.rule("GEMMA_KEY", "/[A-Za-z0-9_]{1,64}/")} ":"'

    def _referred(self, reference: str, depth: int) -> str:
        name = self._references.setdefault(reference, f"{self._values.name}_ref_{len(self._references)}")
        if self._values.lark.reserve(name):
            body = self._value(f"{name}_x", referred(self._values.schema, reference), depth + 1)
            self._values.lark.define(name, body)
        return name

    def _constant(self, value: Any) -> str:
        lark = self._values.lark
        if isinstance(value, str):
            return lark.text(repr(value) if self._dialect == "python" else f"{_GEMMA_QUOTE}{value}{_GEMMA_QUOTE}")
        word = self._words[(True, False, None).index(value)] if value is None or isinstance(value, bool) else json.dumps(value)
        return lark.text(word)

    def _text(self, schema: Any) -> str:
        lark = self._values.lark
        size, suffix = _size(schema)
        if self._dialect == "python":
            quoted = [rf"{quote}([^{quote}\\\n]|\\[nrt'\"\\]){size}{quote}" for quote in ("'", '"')]
            return lark.rule(f"PYTHON_TEXT{suffix}", f"/{'|'.join(quoted)}/")
        pattern = schema.get("pattern") if isinstance(schema, dict) else None
        if pattern is not None:
            # Terminals are told apart by their names.
            suffix += f"_{self._patterns.setdefault(str(pattern), len(self._patterns))}_{self._values.name}".upper()
        return f"{lark.text(_GEMMA_QUOTE)} {lark.text_until(f'GEMMA_TEXT{suffix}', _GEMMA_QUOTE, _texts(schema))}"


def sequence(lark: Lark, name: str, items: list[tuple[str, bool]], separator: str, other: str = "") -> str:
    """Items in their order, each given with whether it must come, joined by `separator`; behind them any number of `other`."""
    joint = lark.text(separator)
    rest = lark.rule(f"{name}_others", f"({joint} {other})*") if other else ""
    starts = [f"{other} {rest}"] if other else []
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


def _texts(schema: Any) -> list[str]:
    """The regular expressions that a text has to match."""
    found = [f"(?s:.{_size(schema)[0]})"]
    pattern = schema.get("pattern") if isinstance(schema, dict) else None
    if isinstance(pattern, str) and (whole := whole_pattern(pattern)) is not None:
        found.append(whole)
    return found


def _refers_beyond_definitions(schema: Any) -> bool:
    match schema:
        case dict():
            reference = schema.get("$ref")
            beyond = isinstance(reference, str) and reference.startswith("#") and not reference.startswith(_INSIDE)
            return beyond or any(map(_refers_beyond_definitions, schema.values()))
        case list():
            return any(map(_refers_beyond_definitions, schema))
        case _:
            return False


def _rerooted(schema: Any) -> Any:
    """`schema` with its references to the whole schema, or to places in it, going to that among the definitions."""
    match schema:
        case dict():
            return {key: _elsewhere(value) if key == "$ref" else _rerooted(value) for key, value in schema.items()}
        case list():
            return list(map(_rerooted, schema))
        case _:
            return schema


def _elsewhere(reference: Any) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#") or reference.startswith(_INSIDE):
        return reference
    return f"#/$defs/{_ROOT}{reference[1:]}"


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
