from __future__ import annotations

import json

import pytest

from app.domain.errors import InvalidRequest, UnsupportedContent
from app.domain.generation import AutoToolChoice, Effort, ReasoningChoice
from app.domain.messages import Role
from app.domain.models import Capability
from app.domain.prompt import ReasoningLimit
from app.formats.chat_format import ChatFormat
from tests.formats import templates
from tests.formats.talks import WEATHER, Answer, ask, called, control, formatted, pieces, plain, result, said, text_of

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
        formatted(templates.NO_SYSTEM).prompt(ask(said(Role.ASSISTANT, "a"), said(Role.USER, "b")))
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


@pytest.mark.parametrize("source", [templates.PLAIN, templates.NO_SYSTEM, templates.PARTS_ONLY, None])
def test_a_template_without_words_for_tools_gets_some(source: str | None) -> None:
    chat_format = formatted(source)
    assert Capability.TOOLS not in chat_format.capabilities
    said_before = called("get_weather", '{"city": "Zürich <|end|>"}')
    segments = chat_format.prompt(ask("Weather?", said_before, result("sunny <|end|>"), "And now?", tools=(WEATHER,)))
    text = text_of(segments)
    assert "Tells the weather." in text
    assert '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich <|end|>"}}\n</tool_call>' in text
    assert "<tool_response>\nsunny <|end|>\n</tool_response>" in text
    assert text.index("Tells the weather.") < text.index("Weather?") < text.index("Zürich") < text.index("sunny")
    assert "Zürich <|end|>" in "".join(plain(segments))
    assert "tool" not in control(segments).replace("<tool_call>", "").replace("<tool_response>", "").replace("</tool", "")


def test_calls_that_a_template_leaves_out_are_written_as_the_model_writes_them() -> None:
    source = "{{ '<|tool_list_start|>' }}{{ tools | tojson }}"
    source += "{% for m in messages %}{{ '<|im_start|>' + m.role + m.content }}{% endfor %}"
    chat_format = formatted(source)
    segments = chat_format.prompt(ask("Weather?", called("get_weather", '{"city": "Rome"}'), result("1"), tools=(WEATHER,)))
    assert "<|tool_call_start|>[get_weather(city='Rome')]<|tool_call_end|>" in text_of(segments)
    assert "<|tool_call_start|>" in control(segments)


def test_calls_that_nobody_can_read_are_refused() -> None:
    chat_format = formatted("{{ tools | tojson }}{% for m in messages %}{{ m.content }}{% endfor %}")
    with pytest.raises(UnsupportedContent) as caught:
        chat_format.prompt(ask("Hi", tools=(WEATHER,)))
    assert caught.value.param == "tools"
    with pytest.raises(UnsupportedContent) as caught:
        chat_format.prompt(ask("Hi", called("f", "{}"), result("1")))
    assert caught.value.param == "messages"
    with pytest.raises(UnsupportedContent):
        chat_format.constraint(ask("Hi", tools=(WEATHER,), tool_choice=AutoToolChoice.REQUIRED))


@pytest.mark.parametrize("source", [templates.CHATML_TOOLS, templates.PLAIN, templates.TRIMS, templates.PARTS_ONLY])
def test_an_answer_that_was_begun_is_gone_on_with(source: str) -> None:
    chat_format = formatted(source)
    segments = chat_format.prompt(ask("Hi", "The sky is"))
    assert text_of(segments).endswith("The sky is")
    assert text_of(chat_format.prompt(ask("Hi", "The sky is", continues=False))).startswith(text_of(segments))
    assert text_of(chat_format.prompt(ask("Hi", "The sky is", continues=False))) != text_of(segments)


def test_an_answer_that_was_begun_has_been_thought_over() -> None:
    chat_format = formatted(templates.THINKS_BY_DEFAULT)
    answer = Answer(chat_format.parser(ask("Hi", "So")).feed(pieces("</think> it is", 1000)[0]))
    assert (answer.reasoning, answer.content) == ("", "</think> it is")


def test_a_thought_that_was_begun_is_gone_on_with(ember: ChatFormat) -> None:
    request = ask("Hi", "<think>\nLet me")
    assert Answer(ember.parser(request).feed(pieces(" see.\n</think>\n\nYes", 1000)[0])).content == "Yes"


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
    assert described["tools"]["call"]["open"] == "<tool_call>\n"
    assert described["traits"]["system"] is True
    assert described["origins"] == {"reasoning": "template", "tools": "template"}
    assert described["example"].startswith("<tool_call>\n{")
    assert (described["thinking"], described["efforts"]["high"]) == ("off", {"enable_thinking": True})
    assert formatted(templates.PLAIN).describe()["origins"] == {"tools": "prompted"}


# ------------------------------------------------------------------------------------------------------------- reasoning
def effort(value: Effort, budget: int | None = None) -> ReasoningChoice:
    return ReasoningChoice(value, budget)


def test_an_effort_turns_the_switch_of_the_template() -> None:
    chat_format = formatted(templates.THINKS_BY_DEFAULT)
    off = chat_format.prompt(ask("Hi", reasoning=effort(Effort.NONE)))
    assert text_of(off).endswith("<think>\n\n</think>\n\n")
    on = chat_format.prompt(ask("Hi", reasoning=effort(Effort.HIGH)))
    assert text_of(on).endswith("assistant\n")
    asked = chat_format.prompt(ask("Hi", reasoning=effort(Effort.NONE), template_args={"enable_thinking": True}))
    assert text_of(asked) == text_of(on)


def test_a_model_without_a_switch_is_given_an_empty_thought() -> None:
    request = ask("Hi", reasoning=effort(Effort.NONE))
    chat_format = formatted(templates.OPENS_THINKING)
    assert text_of(chat_format.prompt(request)).endswith("</think>\n\n")
    assert Answer(chat_format.parser(request).feed(pieces("Hello", 1000)[0])).content == "Hello"


def test_a_dial_is_turned_to_the_nearest_value_that_the_template_takes() -> None:
    source = "{% if thinking_effort not in ['low', 'max'] %}{{ raise_exception('no') }}{% endif %}{{ thinking_effort }}"
    source += "{% for m in messages %}{{ m.content }}{% endfor %}"
    source = source.replace("{% if", "{% if thinking_effort is defined and", 1).replace("effort }}", "effort or '' }}")
    chat_format = formatted(source)
    for asked, given in ((Effort.LOW, "low"), (Effort.HIGH, "max"), (Effort.MAX, "max")):
        assert text_of(chat_format.prompt(ask("Hi", reasoning=effort(asked)))).startswith(given)


def test_a_budget_says_where_the_reasoning_ends() -> None:
    budget = ReasoningChoice(budget=7)
    begun = formatted(templates.OPENS_THINKING).reasoning_limit(ask("Hi", reasoning=budget))
    assert begun == ReasoningLimit(7, "<think>", "</think>", "\n</think>\n\n", begun=True)
    expected = formatted(templates.THINKS_BY_DEFAULT).reasoning_limit(ask("Hi", reasoning=budget))
    assert expected == ReasoningLimit(7, "<think>", "</think>", "\n</think>\n\n")
    assert formatted(templates.PLAIN).reasoning_limit(ask("Hi", reasoning=budget)) is None
    assert formatted(templates.OPENS_THINKING).reasoning_limit(ask("Hi")) is None
