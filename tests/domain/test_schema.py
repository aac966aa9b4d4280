from __future__ import annotations

import json

import pytest

from app.domain.errors import InvalidRequest
from app.domain.schema import load_schema, n_properties


def _load(text: str) -> object:
    return load_schema(text, what="The schema", param="response_format")


@pytest.mark.parametrize("text", ['{"type": "object", "properties": {"a": {}}}', "true", "{}"])
def test_a_schema_is_loaded(text: str) -> None:
    assert _load(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "JSON object"),
        (json.dumps({"enum": ["x" * 1_000_001]}), "characters"),
        (json.dumps({"items": json.loads("[" * 150 + "]" * 150)}), "nested"),
        (json.dumps({"properties": {str(i): {} for i in range(1001)}}), "1001 properties"),
        (json.dumps({"allOf": [{"properties": {str(i): {} for i in range(900)}}] * 6}), "5400 properties in all"),
    ],
)
def test_too_much_of_one_is_refused_with_what_is_too_much(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        _load(text)
    assert caught.value.param == "response_format"


def test_the_properties_of_all_its_objects_are_counted() -> None:
    inner = {"properties": {"a": {}, "b": {"items": {"properties": {"c": {}}}}}}
    assert n_properties({"anyOf": [inner, True], "$defs": {"x": inner}}) == 7
