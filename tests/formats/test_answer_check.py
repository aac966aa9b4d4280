from __future__ import annotations

import json
import time
from typing import Any

import pytest

from app.domain.errors import InvalidRequest
from app.domain.generation import JsonObjectFormat, JsonSchemaFormat, RegexFormat, TextFormat
from app.formats.answer_check import AnswerCheck, answer_check


def problem(schema: Any, answer: str, *, time_s: float = 5.0) -> str | None:
    return AnswerCheck(json.dumps(schema), "p", time_s=time_s).problem_of(answer)


def test_only_what_the_grammar_did_not_see_to_is_checked() -> None:
    assert answer_check(TextFormat()) is answer_check(JsonObjectFormat()) is answer_check(RegexFormat("a", "p")) is None
    assert answer_check(JsonSchemaFormat('{"type": "string"}')) is None
    assert answer_check(JsonSchemaFormat('{"type": "string", "not": {"const": "a"}}')) is not None


@pytest.mark.parametrize(
    ("schema", "good", "bad", "place"),
    [
        ({"properties": {"age": {"not": {"const": 5}}}}, '{"age": 6}', '{"age": 5}', r"At \$\.age .* '/properties/age/not'"),
        ({"items": {"pattern": "(?=.*a)(?=.*b)"}}, '["xba"]', '["xb"]', r"At \$\[0\] .* '/items/pattern'"),
        (
            {"patternProperties": {"^a": {"type": "integer"}, "a$": {"maximum": 3}}, "unevaluatedProperties": False},
            '{"aba": 3}',
            '{"aba": 4}',
            r"'/patternProperties/a\$/maximum'",
        ),
        (
            {"patternProperties": {"^a": {}, "a$": {}}, "additionalProperties": False},
            '{"xa": 1}',
            '{"x": 1}',
            "additionalProperties",
        ),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "dependencies": {"a": ["b"]}},
            '{"b": 1}',
            '{"a": 1}',
            "'/dependencies'",
        ),
    ],
)
def test_what_an_answer_fails_is_said_with_its_places(schema: Any, good: str, bad: str, place: str) -> None:
    assert problem(schema, good) is None
    with pytest.raises(AssertionError, match=place):
        raise AssertionError(problem(schema, bad))


@pytest.mark.parametrize(
    ("answer", "why"), [("[1,", "not valid JSON"), ("", "not valid JSON"), ("[" * 100_000, "nested too deeply")]
)
def test_what_is_no_json_is_said_to_be_none(answer: str, why: str) -> None:
    assert why in (problem({"uniqueItems": True}, answer) or "")


def test_a_pattern_that_takes_for_ever_is_given_up() -> None:
    begun = time.monotonic()
    said = problem({"not": {"pattern": "^(a|aa)+$"}}, json.dumps("a" * 5000 + "b"), time_s=0.2)
    assert "within 0.2 seconds" in (said or "")
    assert time.monotonic() - begun < 10


def test_references_that_multiply_are_given_up() -> None:
    twice = {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(40)}
    assert "within 0.2 seconds" in (problem({"$defs": {**twice, "a40": {}}, "$ref": "#/$defs/a0"}, "1", time_s=0.2) or "")


def test_nothing_is_fetched() -> None:
    assert "Unresolvable" in (problem({"$ref": "http://127.0.0.1:1/x"}, "1") or "")


def test_a_draft_within_a_schema_does_not_escape_the_time() -> None:
    schema = {"allOf": [{"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^(a|aa)+$"}]}
    assert "within" in (problem(schema, json.dumps("a" * 5000 + "b"), time_s=0.2) or "")


@pytest.mark.parametrize("schema", [{"not": 3}, {"not": {"pattern": "[a-"}}, {"required": "a"}])
def test_a_schema_that_is_none_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidRequest, match="can't be used") as caught:
        AnswerCheck(json.dumps(schema), "p")
    assert caught.value.param == "p"
