from __future__ import annotations

import json

import pytest

from app.domain.errors import InvalidRequest, UnsupportedContent
from app.domain.generation import AutoToolChoice
from app.domain.messages import Role
from app.domain.models import Capability
from app.formats.chat_format import ChatFormat
from tests.formats import templates
from tests.formats.talks import WEATHER, Answer, ask, called, formatted, pieces, plain, result, said, text_of

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'


def test_ember_calls_tools_and_thinks(ember: ChatFormat) -> None:
    assert ember.capabilities == {Capability.TOOLS, Capability.REASONING}
    assert ember.problem is None


@pytest.mark.parametrize("source", [None, "", "  \n"])
def test_a_model_without_a_template_talks_chatml(source: str | None) -> None:
    chat_format = formatted(source)
    assert text_of(chat_format.prompt(ask("Hi"))) == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert chat_format.problem is None
    assert chat_format.capabilities == frozenset()


def test_a_broken_template_is_replaced_and_the_problem_names_the_line() -> None:
    chat_format = formatted("{% for m in messages %}\n{{ m.content }}\n{% endif %}")
    assert "line 3" in (chat_format.problem or "")
    assert "<|im_start|>user\nHi" in text_of(chat_format.prompt(ask("Hi")))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% for m in messages %}\n{{ m.content.nope() }}{% endfor %}", "line 2"),
        ("nothing of it", "leaves out"),
        ("{{ raise_exception('never') }}", "never"),
        ("{{ ''.__class__.__mro__ }}{{ messages }}", "unsafe"),
    ],
)
def test_a_template_that_can_render_nothing_is_replaced(source: str, reason: str) -> None:
    assert reason in (formatted(source).problem or "")


def test_a_conversation_that_the_template_refuses_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest, match="Roles must alternate") as caught:
        formatted(templates.NO_SYSTEM).prompt(ask(said(Role.USER, "a"), said(Role.USER, "b")))
    assert caught.value.param == "messages"


def test_reserved_template_arguments_are_refused(ember: ChatFormat) -> None:
    with pytest.raises(InvalidRequest, match="messages") as caught:
        ember.prompt(ask("Hi", template_args={"messages": []}))
    assert caught.value.param == "chat_template_kwargs"


def test_template_arguments_reach_the_template(ember: ChatFormat) -> None:
    assert "First think" in text_of(ember.prompt(ask("Hi", template_args={"enable_thinking": True})))
    assert "First think" not in text_of(ember.prompt(ask("Hi")))


def test_tools_are_shown_unless_none_may_be_called(ember: ChatFormat) -> None:
    assert "get_weather" in text_of(ember.prompt(ask("Hi", tools=(WEATHER,))))
    request = ask("Hi", tools=(WEATHER,), tool_choice=AutoToolChoice.NONE)
    assert "get_weather" not in text_of(ember.prompt(request))
    assert not Answer(ember.parser(request).feed(pieces(CALL, 1000)[0])).names


def test_tools_for_a_template_without_calls_are_refused() -> None:
    for source in (templates.TAGGED, templates.PLAIN, None):
        chat_format = formatted(source)
        assert Capability.TOOLS not in chat_format.capabilities
        with pytest.raises(UnsupportedContent) as caught:
            chat_format.prompt(ask("Hi", tools=(WEATHER,)))
        assert caught.value.param == "tools"
        with pytest.raises(UnsupportedContent) as caught:
            chat_format.prompt(ask("Hi", called("f", "{}"), result("1")))
        assert caught.value.param == "messages"


@pytest.mark.parametrize("source", [templates.CHATML_TOOLS, templates.LISTED])
def test_calls_and_results_are_rendered(source: str) -> None:
    request = ask("Weather?", called("get_weather", '{"city": "Zürich"}'), result("<sunny>"), tools=(WEATHER,))
    segments = formatted(source).prompt(request)
    assert '{"name": "get_weather", "arguments": {"city": "Zürich"}' in text_of(segments)
    assert any("<sunny>" in text for text in plain(segments))


def test_calls_whose_arguments_are_no_object_are_refused_where_the_template_needs_one() -> None:
    with pytest.raises(InvalidRequest, match="call00001") as caught:
        formatted(templates.CHATML_TOOLS).prompt(ask("Hi", called("f", "not JSON"), result("1"), tools=(WEATHER,)))
    assert caught.value.param == "messages"


def test_what_the_model_wrote_is_repeated_to_the_letter(ember: ChatFormat) -> None:
    arguments = '{"city":"Rome" }'
    assert arguments in text_of(ember.prompt(ask("Hi", called("get_weather", arguments), result("1"), tools=(WEATHER,))))


def test_a_format_reads_the_calls_that_it_writes() -> None:
    for source in (templates.CHATML_TOOLS, templates.LISTED):
        chat_format = formatted(source)
        arguments = json.dumps({"city": 'Z"ürich'}, ensure_ascii=False)
        before = text_of(chat_format.prompt(ask("Weather?", tools=(WEATHER,))))
        request = ask("Weather?", called("get_weather", arguments), result("1"), tools=(WEATHER,))
        turn = text_of(chat_format.prompt(request))
        written = turn[turn.index("Weather?") :].split("[INST]")[0]
        parser = chat_format.parser(ask("Weather?", tools=(WEATHER,)))
        answer = Answer([delta for piece in pieces(written) for delta in parser.feed(piece)])
        assert (answer.names, answer.arguments) == (["get_weather"], [arguments])
        assert before


def test_the_parser_starts_in_reasoning_where_the_prompt_opened_it() -> None:
    chat_format = formatted(templates.OPENS_THINKING)
    answer = Answer(chat_format.parser(ask("Hi")).feed(pieces("hm\n</think>\nHello", 1000)[0]))
    assert (answer.reasoning, answer.content) == ("hm", "Hello")


def test_a_format_can_describe_itself(ember: ChatFormat) -> None:
    described = json.loads(json.dumps(ember.describe()))
    assert described["reasoning"] == {"open": "<think>", "close": "</think>"}
    assert described["tools"]["open"] == "<tool_call>"
    assert described["traits"]["system"] is True
