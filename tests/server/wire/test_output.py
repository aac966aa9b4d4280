from __future__ import annotations

import json
from typing import Any

import pytest

from app.domain.errors import InvalidRequest
from app.domain.generation import (
    ChoiceFormat,
    GrammarFormat,
    JsonObjectFormat,
    JsonSchemaFormat,
    OutputFormat,
    RegexFormat,
    TextFormat,
)
from app.server.wire.output import OutputFields

SCHEMA = {"type": "object", "properties": {"z": {"type": "number"}, "a": {}}}
TEXT = json.dumps(SCHEMA, separators=(",", ":"))


def output(**fields: Any) -> OutputFormat:
    return OutputFields.model_validate({"model": "m", **fields}).output


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, TextFormat()),
        ({"type": "text"}, TextFormat()),
        ({"type": "json_object"}, JsonObjectFormat()),
        ({"type": "json_object", "schema": SCHEMA}, JsonSchemaFormat(TEXT, param="response_format.schema")),
        ({"type": "json_schema", "schema": SCHEMA}, JsonSchemaFormat(TEXT, param="response_format.schema")),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}, JsonSchemaFormat(TEXT, "n")),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}},
            JsonSchemaFormat(TEXT, "n", strict=True),
        ),
    ],
)
def test_a_response_format_comes_through_with_its_properties_in_order(wanted: Any, expected: OutputFormat) -> None:
    assert output(response_format=wanted) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"grammar": 'root ::= "a"'}, GrammarFormat('root ::= "a"', "grammar")),
        ({"grammar": ""}, TextFormat()),
        ({"json_schema": SCHEMA}, JsonSchemaFormat(TEXT, param="json_schema")),
        ({"guided_json": SCHEMA}, JsonSchemaFormat(TEXT, param="guided_json")),
        ({"guided_json": TEXT}, JsonSchemaFormat(TEXT, param="guided_json")),
        ({"guided_regex": "a+"}, RegexFormat("a+", "guided_regex")),
        ({"guided_choice": ["a", "b"]}, ChoiceFormat(("a", "b"), "guided_choice")),
        ({"guided_grammar": "start: /a/"}, GrammarFormat("start: /a/", "guided_grammar")),
        ({"structured_outputs": {"json": SCHEMA}}, JsonSchemaFormat(TEXT, param="structured_outputs.json")),
        ({"structured_outputs": {"regex": "a+"}}, RegexFormat("a+", "structured_outputs.regex")),
        ({"structured_outputs": {"choice": ["a"]}}, ChoiceFormat(("a",), "structured_outputs.choice")),
        ({"structured_outputs": {"grammar": "g"}}, GrammarFormat("g", "structured_outputs.grammar")),
        ({"structured_outputs": {"json_object": True}}, JsonObjectFormat()),
        ({"structured_outputs": {"json_object": False, "regex": None}}, TextFormat()),
        ({"grammar": "g", "response_format": {"type": "text"}}, GrammarFormat("g", "grammar")),
    ],
)
def test_the_fields_of_other_servers_come_through(fields: dict[str, Any], expected: OutputFormat) -> None:
    assert output(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"guided_regex": "a", "response_format": {"type": "json_object"}}, "guided_regex"),
        ({"grammar": "g", "guided_choice": ["a"]}, "guided_choice"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs.choice"),
        ({"structured_outputs": {"structural_tag": "{}"}}, "structured_outputs.structural_tag"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format.json_schema.schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"d": "x" * 300_000}}}},
            "response_format.json_schema.schema",
        ),
        ({"json_schema": {"d": "x" * 300_000}}, "json_schema"),
    ],
)
def test_what_contradicts_itself_or_is_missing_or_too_long_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        output(**fields)
    assert caught.value.param == param
