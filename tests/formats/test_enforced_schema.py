from __future__ import annotations

import json
from typing import Any

import pytest

from app.domain.errors import InvalidRequest
from app.formats.enforced_schema import EnforcedSchema
from app.formats.schemas import enforced_schema


def looked_at(schema: Any, *, strict: bool = False) -> EnforcedSchema:
    return enforced_schema(json.dumps(schema), strict=strict, what="The schema", param="response_format")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "integer", "minimum": 3}}},
        {"oneOf": [{"type": "string"}, {"type": "array", "maxItems": 2}]},
        {"type": "string", "pattern": "^a+$", "minLength": 2},
        {"type": "string", "format": "date-time"},
    ],
)
def test_what_a_grammar_can_enforce_stays_whole(schema: Any) -> None:
    found = looked_at(schema, strict=True)
    assert (json.loads(found.text), found.left_out) == (schema, ())


@pytest.mark.parametrize(
    ("schema", "held", "left_out"),
    [
        (
            {"properties": {"age": {"type": "integer", "not": {}}}},
            {"properties": {"age": {"type": "integer"}}},
            "/properties/age/not",
        ),
        ({"items": {"uniqueItems": True}}, {"items": {}}, "/items/uniqueItems"),
        (
            {"anyOf": [{"oneOf": [{"type": "integer"}, {"minimum": 2}]}]},
            {"anyOf": [{"allOf": [{"anyOf": [{"type": "integer"}, {"minimum": 2}]}]}]},
            "/anyOf/0/oneOf",
        ),
        ({"properties": {"a/b": {"pattern": "(?=a)"}}}, {"properties": {"a/b": {}}}, "/properties/a~1b/pattern"),
        ({"type": "string", "format": "regex"}, {"type": "string"}, "/format"),
        ({"properties": {"a": {}}, "minProperties": 1}, {"properties": {"a": {}}}, "/minProperties"),
        ({"type": "number", "multipleOf": 0.123456789}, {"type": "number"}, "/multipleOf"),
        ({"not": {"not": {"uniqueItems": True}}}, {}, "/not"),
    ],
)
def test_what_it_can_not_enforce_is_left_out_and_named(schema: Any, held: Any, left_out: str) -> None:
    found = looked_at(schema)
    assert (json.loads(found.text), found.left_out) == (held, (left_out,))
    with pytest.raises(InvalidRequest, match=left_out) as caught:
        looked_at(schema, strict=True)
    assert caught.value.param == "response_format"


def test_only_the_keywords_that_are_beyond_it_go() -> None:
    schema = {"properties": {"a": {"pattern": "a"}, "b": {"pattern": "(?!b)"}, "c": {"format": "date"}, "d": {"format": "?"}}}
    found = looked_at(schema)
    assert found.left_out == ("/properties/b/pattern", "/properties/d/format")
    assert json.loads(found.text)["properties"]["a"] == {"pattern": "a"}


def test_without_the_patterns_of_names_no_name_is_refused() -> None:
    """What they named would be additional."""
    schema = {"patternProperties": {"^a": {}, "a$": {"type": "integer"}}, "additionalProperties": False}
    assert json.loads(looked_at(schema).text) == {}


@pytest.mark.parametrize(
    "schema",
    [
        {"uniqueItems": False},
        {"then": {"const": 1}, "else": {"const": 2}},
        {"if": {"const": 1}},
        {"minContains": 2},
        {"propertyNames": True},
        {"dependentRequired": {}},
        {"maxItems": 2.0},
        {"$dynamicAnchor": "node"},
        {"x-guidance": {"lenient": True}},
        True,
    ],
)
def test_what_asks_for_nothing_or_is_only_spelled_otherwise_is_no_obstacle(schema: Any) -> None:
    assert looked_at(schema, strict=True).left_out == ()


def test_a_client_can_not_loosen_the_grammar_by_llguidances_options() -> None:
    assert looked_at({"not": {}, "x-guidance": {"lenient": True}}).left_out == ("/not",)


@pytest.mark.parametrize(
    "schema", [False, {"type": 3}, {"$ref": "http://127.0.0.1:1/x"}, {"minimum": 3, "maximum": 1, "type": "integer"}]
)
def test_a_schema_that_no_grammar_can_be_made_of_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidRequest, match="can't be used") as caught:
        looked_at(schema)
    assert caught.value.param == "response_format"
