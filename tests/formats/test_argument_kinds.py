from __future__ import annotations

import json
from typing import Any

import pytest

from app.formats.argument_kinds import ArgumentKinds, Kind

SCHEMA = {
    "$defs": {"size": {"enum": ["s", "m"]}, "loop": {"$ref": "#/$defs/loop"}},
    "properties": {
        "text": {"type": "string"},
        "size": {"$ref": "#/$defs/size"},
        "loop": {"$ref": "#/$defs/loop"},
        "count": {"type": "integer"},
        "share": {"type": "number"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "mixed": {"type": ["string", "integer"]},
        "both": {"allOf": [{"type": ["string", "integer"]}, {"type": "integer"}]},
        "any": {},
    },
}
KINDS = ArgumentKinds(SCHEMA)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("text", Kind.TEXT),
        ("size", Kind.TEXT),
        ("count", Kind.JSON),
        ("both", Kind.JSON),
        ("maybe", Kind.EITHER),
        ("any", Kind.EITHER),
        ("loop", Kind.EITHER),
        ("unknown", Kind.EITHER),
    ],
)
def test_the_schema_tells_text_from_json(name: str, kind: Kind) -> None:
    assert KINDS.kind(name) is kind


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("text", "7", "7"),
        ("count", "7", 7),
        ("count", " 7\n", 7),
        ("count", "seven", "seven"),
        ("share", "1", 1),
        ("share", "NaN", "NaN"),
        ("maybe", "null", None),
        ("maybe", "None", None),
        ("maybe", "7", "7"),
        ("mixed", "7", 7),
        ("mixed", "7.5", "7.5"),
        ("any", "[1, 2]", [1, 2]),
        ("any", "True", True),
        ("any", "words", "words"),
        ("unknown", '{"a": 1}', {"a": 1}),
    ],
)
def test_a_value_has_the_type_that_its_schema_wants(name: str, text: str, value: Any) -> None:
    assert json.loads(KINDS.json_of(name, text)) == value


@pytest.mark.parametrize("parameters", ["no JSON", "[]", "true", '{"properties": [1]}', "[" * 100_000])
def test_no_schema_is_no_error(parameters: str) -> None:
    assert ArgumentKinds.of(parameters).kind("a") is Kind.EITHER
