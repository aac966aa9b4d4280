from __future__ import annotations

import json

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
from app.domain.prompt import Constraint
from app.formats.chat_format import ChatFormat
from app.formats.output_grammar import output_grammar
from tests.formats.talks import WEATHER, ask
from tests.formats.test_constraint import WEATHER_CALL, takes

REGEX = RegexFormat(r'^\d{3}/"a"$', "guided_regex")
CHOICE = ChoiceFormat(("yes", 'no\n"é', "<tool_call>"), "guided_choice")
GBNF = GrammarFormat('root ::= "yes" | "no"', "grammar")
LARK = GrammarFormat('%llguidance {}\nstart: "a" B | "}"\nB: /b+/', "grammar")


def constraint(output: OutputFormat) -> Constraint:
    grammar = output_grammar(output)
    assert grammar is not None
    return grammar.constraint


def test_free_text_has_none() -> None:
    assert output_grammar(TextFormat()) is None


@pytest.mark.parametrize(
    ("output", "good", "bad"),
    [
        (REGEX, '123/"a"', '123/"a" '),
        (RegexFormat("a\nb[\n]", "x"), "a\nb\n", "ab"),
        (CHOICE, 'no\n"é', "no"),
        (CHOICE, "<tool_call>", "<tool"),
        (GBNF, "no", "maybe"),
        (LARK, "abb", "a"),
        (GrammarFormat("start: /a+/", "x"), "aa", "b"),
        (JsonObjectFormat(), '{"a": 1}', "[]"),
        (JsonSchemaFormat('{"type": "integer", "not": {"const": 3}}'), "3", '"3"'),
    ],
)
def test_an_answer_is_what_was_asked_for(output: OutputFormat, good: str, bad: str) -> None:
    assert takes(constraint(output), good)
    assert not takes(constraint(output), bad)


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (RegexFormat("(", "p"), "unclosed group"),
        (RegexFormat("(?=a)", "p"), "look-around"),
        (RegexFormat("", "p"), "empty"),
        (RegexFormat("a" * 300_000, "p"), "300000"),
        (ChoiceFormat((), "p"), "between 1 and 1000"),
        (ChoiceFormat(("a", ""), "p"), "empty"),
        (ChoiceFormat(tuple(map(str, range(1001))), "p"), "1001"),
        (GrammarFormat("root ::= x", "p"), "line 1, column 10"),
        (GrammarFormat("start: x", "p"), r"at 1\(8\): unknown name"),
        (GrammarFormat('start: "a"\nstart: "b"', "p"), "start"),
        (GrammarFormat("x" * 300_000, "p"), "300000"),
        (GrammarFormat("start: " + "(" * 10_000, "p"), "nested"),
        (JsonSchemaFormat("{", param="p"), "not valid JSON"),
    ],
)
def test_what_no_grammar_can_be_made_of_is_refused_with_the_reason(output: OutputFormat, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        output_grammar(output)
    assert caught.value.param == "p"


@pytest.mark.parametrize("output", [REGEX, CHOICE, GBNF, LARK])
def test_every_kind_goes_with_reasoning_and_with_tools(ember: ChatFormat, output: OutputFormat) -> None:
    good = {REGEX: '123/"a"', CHOICE: "yes", GBNF: "no", LARK: "ab"}[output]
    thinking = ember.constraint(ask("Hi", output=output, template_args={"enable_thinking": True}))
    assert takes(thinking, f"<think>\nHm.\n</think>\n\n{good}")
    assert takes(thinking, good)
    either = ember.constraint(ask("Hi", output=output, tools=(WEATHER,)))
    assert takes(either, good)
    assert takes(either, WEATHER_CALL)
    assert not takes(either, "Hello")


@pytest.mark.parametrize("thinks", [True, False])
def test_blanks_in_json_come_to_an_end(ember: ChatFormat, thinks: bool) -> None:
    request = ask("Hi", output=JsonObjectFormat(), template_args={"enable_thinking": thinks}, tools=(WEATHER,))
    held = ember.constraint(request)
    assert takes(held, '{"a":' + " " * 24 + "1}")
    assert not takes(held, '{"a":' + " " * 25 + "1}")


def test_a_braces_worth_of_lark_can_not_end_its_own_grammar(ember: ChatFormat) -> None:
    with pytest.raises(InvalidRequest):
        output_grammar(GrammarFormat('start: "a"\n}\nother: "b"\nx: %json {', "grammar"))


def test_a_strict_schema_names_what_can_not_be_enforced() -> None:
    schema = json.dumps({"properties": {"age": {"not": {"const": 3}}}})
    with pytest.raises(InvalidRequest, match="/properties/age/not"):
        output_grammar(JsonSchemaFormat(schema, strict=True))
