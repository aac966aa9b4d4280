from __future__ import annotations

from typing import Any

from app.domain.generation import AutoToolChoice, ChatRequest
from app.domain.messages import ImagePart, Message, Role, TextPart
from app.formats.conversation import Conversation, texts_of
from app.formats.spec import PROMPTED_TOOLS
from app.formats.traits import TemplateTraits
from tests.formats.talks import WEATHER, ask, called, result, said


class Shown:
    """Shows what was written by which method."""

    def content(self, text: str) -> str:
        return f"c({text})" if text else ""

    def value(self, text: str) -> str:
        return text.upper()

    def picture(self, index: int) -> str:
        return f"p({index})"

    def stop(self) -> str:
        return "|"


def messages(request: ChatRequest, **traits: Any) -> list[dict[str, Any]]:
    return Conversation.of(
        request, TemplateTraits(**{"results": True, "tools": True, "calls": True, **traits}), Shown(), PROMPTED_TOOLS
    ).messages


def test_words_are_strings_or_parts_as_the_template_wants() -> None:
    assert messages(ask("a")) == [{"role": "user", "content": "c(a)"}]
    assert messages(ask("a"), parts=True) == [{"role": "user", "content": "c(a)"}]
    assert messages(ask("a"), parts=True, strings=False) == [{"role": "user", "content": [{"type": "text", "text": "c(a)"}]}]


def test_pictures_stand_between_texts_in_their_order() -> None:
    request = ask(Message(Role.USER, (TextPart("a"), TextPart("b"), ImagePart(b"1"), ImagePart(b"2"), TextPart("c"))))
    assert messages(request)[0]["content"] == "c(ab)p(0)p(1)c(c)"
    assert [part["text"] for part in messages(request, parts=True)[0]["content"]] == ["c(ab)", "p(0)", "p(1)", "c(c)"]
    assert Conversation.of(request, TemplateTraits(), Shown()).pictures == (ImagePart(b"1"), ImagePart(b"2"))


def test_a_developer_is_the_system_where_the_template_knows_no_developer() -> None:
    request = ask(said(Role.DEVELOPER, "x"), said(Role.USER, "y"))
    assert messages(request)[0]["role"] == "system"
    assert messages(request, developer=True)[0]["role"] == "developer"


def test_rules_go_into_the_first_question_where_there_is_no_system_role() -> None:
    request = ask(said(Role.SYSTEM, "x"), said(Role.DEVELOPER, "y"), said(Role.USER, "z", name="n"), said(Role.ASSISTANT, "a"))
    assert messages(request, system=False) == [
        {"role": "user", "content": "c(x\n\ny\n\nz)", "name": "N"},
        {"role": "assistant", "content": "c(a)|"},
    ]
    assert messages(ask(said(Role.SYSTEM, "x")), system=False) == [{"role": "user", "content": "c(x)"}]


def test_calls_and_results_are_written_in_openais_shape() -> None:
    request = ask("q", called("get_weather", '{"city": "Rome"}'), result("sunny"), tools=(WEATHER,))
    _, call, answer = messages(request)
    function = {"name": "GET_WEATHER", "arguments": '{"CITY": "ROME"}'}
    assert call == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "CALL00001", "type": "function", "function": function}],
    }
    assert answer == {"role": "tool", "content": "c(sunny)", "name": "GET_WEATHER", "tool_call_id": "CALL00001"}
    _, call, _ = messages(request, argument_objects=True, null_content=True)
    assert call["content"] is None
    assert call["tool_calls"][0]["function"]["arguments"] == {"CITY": "ROME"}


def test_reasoning_of_earlier_turns_is_offered() -> None:
    (message,) = messages(ask(said(Role.ASSISTANT, "a", reasoning="r"), continues=False))
    assert message == {"role": "assistant", "content": "c(a)", "reasoning_content": "c(r)"}


def test_tools_are_left_out_where_none_may_be_called() -> None:
    def tools(request: ChatRequest, **traits: Any) -> list[dict[str, Any]] | None:
        return Conversation.of(request, TemplateTraits(**traits), Shown()).tools

    shown = tools(ask("q", tools=(WEATHER,)))
    assert shown is not None
    assert shown[0]["FUNCTION" if "FUNCTION" in shown[0] else "function"]
    assert tools(ask("q", tools=(WEATHER,), tool_choice=AutoToolChoice.NONE)) is None
    assert tools(ask("q"), empty_tools=True) == []


def test_every_text_that_can_reach_the_prompt_is_known() -> None:
    request = ask(
        "q", called("f", '{"x": "\\ud80c\\udc00"}'), said(Role.ASSISTANT, "a", reasoning="r", name="n"), tools=(WEATHER,)
    )
    everything = "".join(texts_of(request))
    assert all(
        word in everything for word in ("q", "f", "\U00013000", "a", "r", "n", "get_weather", "Tells the weather.", "city")
    )
