from __future__ import annotations

import json
from collections.abc import Sequence

import llguidance
import pytest

from app.domain.errors import InvalidRequest
from app.domain.generation import AutoToolChoice, ChatRequest, JsonObjectFormat, JsonSchemaFormat, NamedToolChoice, Tool
from app.domain.prompt import Constraint
from app.formats.chat_format import ChatFormat
from app.formats.constraint import constraint_for
from app.formats.thinking import Thinking
from tests.formats import templates
from tests.formats.talks import WEATHER, Answer, ask, formatted, pieces

CLOCK = Tool("get_time", "Tells the time.", "{}")
BOTH = (WEATHER, CLOCK)
WEATHER_CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
CLOCK_CALL = '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>'
REQUIRED = {"tools": BOTH, "tool_choice": AutoToolChoice.REQUIRED}


class Bytes:
    """A vocabulary of single bytes."""

    eos_token_id = 256
    bos_token_id = None
    tokens: Sequence[bytes] = (*(bytes([byte]) for byte in range(256)), b"<end>")
    special_token_ids = (256,)

    def __call__(self, text: str) -> list[int]:
        return list(text.encode())


def takes(constraint: Constraint | None, text: str) -> bool:
    """Whether the grammar allows `text` as a whole answer."""
    assert constraint is not None
    matcher_type = llguidance.LLMatcher
    if constraint.lark is not None:
        grammar = matcher_type.grammar_from_lark(constraint.lark)
    else:
        grammar = matcher_type.grammar_from_json_schema(constraint.json_schema or "")
    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Bytes()))
    matcher = matcher_type(tokenizer, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    data = list(text.encode())
    return bool(matcher.validate_tokens(data) == len(data) and matcher.consume_tokens(data) and matcher.is_accepting())


def test_free_text_has_no_grammar(ember: ChatFormat) -> None:
    assert ember.constraint(ask("Hi")) is None
    assert ember.constraint(ask("Hi", tools=BOTH, tool_choice=AutoToolChoice.NONE)) is None


def test_a_call_that_may_be_made_is_one_of_the_tools_with_arguments_of_its_schema(ember: ChatFormat) -> None:
    constraint = ember.constraint(ask("Hi", tools=BOTH))
    assert constraint is not None
    assert constraint.triggers == ("<tool_call>",)
    for call in (WEATHER_CALL, CLOCK_CALL):
        assert takes(constraint, call.removeprefix("<tool_call>"))
    for wrong in (WEATHER_CALL.replace("city", "town"), WEATHER_CALL.replace("get_weather", "get_rich")):
        assert not takes(constraint, wrong.removeprefix("<tool_call>"))
    assert not takes(constraint, f"{CLOCK_CALL}\n{WEATHER_CALL}".removeprefix("<tool_call>"))


def test_a_list_of_calls_that_may_be_made_is_held_to_their_schemas() -> None:
    constraint = formatted(templates.LISTED).constraint(ask("Hi", tools=BOTH))
    assert constraint is not None
    assert constraint.triggers == ("[TOOL_CALLS]",)
    assert takes(constraint, ' [{"name": "get_time", "arguments": {}, "id": "a1B2c3D4e"}]')


def test_a_possible_call_in_the_reasoning_is_none(ember: ChatFormat) -> None:
    for thinking, after in ((Thinking.BEGUN, "</think>"), (Thinking.EXPECTED, ""), (Thinking.OFF, "")):
        constraint = constraint_for(ask("Hi", tools=BOTH), ember.spec, thinking=thinking)
        assert constraint is not None
        assert constraint.after == after
        assert constraint.aside == ("<think>", "</think>")


@pytest.mark.parametrize("schema", ['{"not": {}}', '{"type": 3}', "{", '{"$ref": "http://elsewhere"}'])
def test_a_possible_call_whose_schema_can_not_be_kept_has_free_arguments(ember: ChatFormat, schema: str) -> None:
    """Nobody asked for more: such tools have always been taken."""
    constraint = ember.constraint(ask("Hi", tools=(WEATHER, Tool("odd", "", schema))))
    assert takes(constraint, '\n{"name": "odd", "arguments": {"any": [1]}}\n</tool_call>')
    assert not takes(constraint, WEATHER_CALL.replace("city", "town").removeprefix("<tool_call>"))


def test_a_schema_of_too_many_properties_is_refused(ember: ChatFormat) -> None:
    schema = json.dumps({"type": "object", "properties": {f"p{i}": {} for i in range(2000)}})
    with pytest.raises(InvalidRequest, match="2000 properties"):
        ember.constraint(ask("Hi", output=JsonSchemaFormat(schema)))


def test_a_json_object_is_an_object(ember: ChatFormat) -> None:
    constraint = ember.constraint(ask("Hi", output=JsonObjectFormat()))
    assert takes(constraint, '{"a": [1]}')
    assert not takes(constraint, "[1]")


def test_a_schema_is_passed_on_as_it_is(ember: ChatFormat) -> None:
    schema = '{"type":"array","items":{"type":"integer"}}'
    assert ember.constraint(ask("Hi", output=JsonSchemaFormat(schema))) == Constraint(json_schema=schema)


@pytest.mark.parametrize(
    "schema", ["{", "[]", '{"type": "nothing"}', '{"$ref": "#/nowhere"}', '{"properties": 1}', "[" * 100_000]
)
def test_a_schema_that_can_not_be_used_is_an_invalid_request(ember: ChatFormat, schema: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ember.constraint(ask("Hi", output=JsonSchemaFormat(schema)))
    assert caught.value.param == "response_format"


def test_a_tool_with_a_broken_schema_is_named(ember: ChatFormat) -> None:
    with pytest.raises(InvalidRequest, match="'broken'") as caught:
        ember.constraint(ask("Hi", tools=(Tool("broken", "", '{"type": 3}'),), tool_choice=AutoToolChoice.REQUIRED))
    assert caught.value.param == "tools"


def test_a_required_call_is_one_of_the_tools_with_arguments_of_its_schema(ember: ChatFormat) -> None:
    constraint = ember.constraint(ask("Hi", **REQUIRED))
    assert takes(constraint, WEATHER_CALL)
    assert takes(constraint, f"{CLOCK_CALL}\n{WEATHER_CALL}")
    assert not takes(constraint, "It is sunny.")
    assert not takes(constraint, WEATHER_CALL.replace("city", "town"))
    assert not takes(constraint, WEATHER_CALL.replace("get_weather", "get_rich"))


def test_one_call_alone_where_they_may_not_be_parallel(ember: ChatFormat) -> None:
    constraint = ember.constraint(ask("Hi", **REQUIRED, parallel_tool_calls=False))
    assert takes(constraint, CLOCK_CALL)
    assert not takes(constraint, f"{CLOCK_CALL}\n{WEATHER_CALL}")


def test_a_named_function_is_the_only_choice(ember: ChatFormat) -> None:
    constraint = ember.constraint(ask("Hi", tools=BOTH, tool_choice=NamedToolChoice.of("get_time")))
    assert takes(constraint, CLOCK_CALL)
    assert not takes(constraint, WEATHER_CALL)


def test_json_and_tools_together_leave_the_choice_to_the_model(ember: ChatFormat) -> None:
    constraint = ember.constraint(ask("Hi", tools=BOTH, output=JsonObjectFormat()))
    assert takes(constraint, WEATHER_CALL)
    assert takes(constraint, '{"a": 1}')
    assert not takes(constraint, "Hello")


def test_a_listed_format_writes_lists_with_ids() -> None:
    request = ask("Hi", **REQUIRED)
    chat_format = formatted(templates.LISTED)
    text = '[TOOL_CALLS] [{"name": "get_time", "arguments": {}, "id": "a1B2c3D4e"}, '
    text += '{"name": "get_weather", "arguments": {"city": "x"}, "id": "a1B2c3D4f"}]'
    assert takes(chat_format.constraint(request), text)
    parser = chat_format.parser(request)
    answer = Answer([delta for piece in pieces(text) for delta in parser.feed(piece)])
    assert answer.names == ["get_time", "get_weather"]


@pytest.mark.parametrize(
    ("choice", "tools"), [(NamedToolChoice.of("other"), BOTH), (NamedToolChoice.of("other"), ()), (AutoToolChoice.REQUIRED, ())]
)
def test_a_choice_without_its_tool_is_an_invalid_request(
    ember: ChatFormat, choice: AutoToolChoice | NamedToolChoice, tools: tuple[Tool, ...]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ember.constraint(ask("Hi", tools=tools, tool_choice=choice))
    assert caught.value.param == "tool_choice"


def test_a_required_call_of_a_model_without_words_for_tools_is_written_as_it_was_told() -> None:
    assert takes(formatted(None).constraint(ask("Hi", **REQUIRED)), CLOCK_CALL)


def thinks(**args: bool) -> ChatRequest:
    return ask("Hi", output=JsonObjectFormat(), template_args=args)


def test_the_grammar_waits_for_the_end_of_reasoning_that_the_prompt_began() -> None:
    constraint = formatted(templates.OPENS_THINKING).constraint(thinks())
    assert constraint is not None
    assert constraint.after == "</think>"
    assert takes(constraint, '\n\n{"a": 1}')


def test_a_model_that_may_think_thinks_first_or_not_at_all(ember: ChatFormat) -> None:
    for chat_format, request in ((ember, thinks(enable_thinking=True)), (formatted(templates.THINKS_BY_DEFAULT), thinks())):
        constraint = chat_format.constraint(request)
        assert takes(constraint, '{"a": 1}')
        assert takes(constraint, '<think>\nHm, {"b" < 2}.\n</think>\n\n{"a": 1}')
        assert not takes(constraint, "<think>\nHm.")
        assert not takes(constraint, "<think>\nHm.\n</think>\n\nOne.")
        assert not takes(constraint, 'Well: {"a": 1}')


def test_a_call_that_must_be_made_may_follow_reasoning(ember: ChatFormat) -> None:
    constraint = ember.constraint(ask("Hi", **REQUIRED, template_args={"enable_thinking": True}))
    assert takes(constraint, CLOCK_CALL)
    assert takes(constraint, f"<think>\nNow.\n</think>\n\n{CLOCK_CALL}")
    assert not takes(constraint, "<think>\nNow.\n</think>\n\nIt is late.")


def test_the_grammar_binds_at_once_where_the_model_does_not_think(ember: ChatFormat) -> None:
    for chat_format, request in (
        (ember, thinks()),
        (formatted(templates.THINKS_BY_DEFAULT), thinks(enable_thinking=False)),
        (formatted(templates.PLAIN), thinks()),
    ):
        constraint = chat_format.constraint(request)
        assert constraint is not None
        assert constraint.after == ""


def test_a_vocabulary_puts_its_special_tokens_in_place_of_markers(ember: ChatFormat) -> None:
    constraint = ember.constraint(ask("Hi", **REQUIRED))
    assert constraint is not None
    lark = constraint.lark_for({"<tool_call>": 2044}.get)
    assert "marker_0: <[2044]>" in lark
    assert 'marker_1: "</tool_call>"' in lark
    assert llguidance.LLMatcher.validate_grammar(llguidance.LLMatcher.grammar_from_lark(lark)) == ""


def test_a_marker_of_several_tags_has_a_rule_for_each() -> None:
    source = templates.CHATML_TOOLS.replace("<tool_call>\\n", "<|sep|>\\ncall<|role|>")
    constraint = formatted(source).constraint(ask("Hi", **REQUIRED))
    assert constraint is not None
    assert constraint.markers == ("<|sep|>", "<|role|>", "</tool_call>")
    assert takes(constraint, CLOCK_CALL.replace("<tool_call>\n", "<|sep|>\ncall<|role|>"))


def test_whatever_a_function_is_called_its_grammar_is_valid(ember: ChatFormat) -> None:
    tool = Tool('a"b\\c/%é\n', "", json.dumps({"type": "object", "description": "x\n%llguidance {}\n\"'"}))
    constraint = ember.constraint(ask("Hi", tools=(tool,), tool_choice=AutoToolChoice.REQUIRED))
    call = json.dumps({"name": tool.name, "arguments": {}})
    assert takes(constraint, f"<tool_call>\n{call}\n</tool_call>")
