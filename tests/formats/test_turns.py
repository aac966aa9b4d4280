from __future__ import annotations

from typing import Any

from app.domain.generation import ChatRequest
from app.domain.messages import Message, Role, TextPart, ToolCall
from app.formats.spec import PROMPTED_TOOLS
from app.formats.traits import TemplateTraits
from app.formats.turns import begun_turn, turns_of
from tests.formats.talks import WEATHER, ask, called, result, said

FIRST, SECOND = ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}")


def turns(request: ChatRequest, **traits: Any) -> list[tuple[Role, str]]:
    return [
        (turn.role, "".join([turn.text, *(call.name for call in turn.tool_calls)]))
        for turn in turns_of(request, TemplateTraits(**traits), PROMPTED_TOOLS)
    ]


def test_rules_that_must_lead_are_one_and_later_ones_are_said_by_the_user() -> None:
    request = ask(
        said(Role.SYSTEM, "a"), said(Role.DEVELOPER, "b"), said(Role.USER, "q"), said(Role.SYSTEM, "c"), said(Role.USER, "r")
    )
    assert turns(request) == [
        (Role.SYSTEM, "a"), (Role.DEVELOPER, "b"), (Role.USER, "q"), (Role.SYSTEM, "c"), (Role.USER, "r"),
    ]  # fmt: skip
    assert turns(request, late_system=False) == [
        (Role.SYSTEM, "a\n\nb"), (Role.USER, "q"), (Role.USER, "c"), (Role.USER, "r"),
    ]  # fmt: skip


def test_without_a_system_role_rules_are_part_of_the_first_question() -> None:
    request = ask(said(Role.SYSTEM, "a"), said(Role.ASSISTANT, "w"), said(Role.USER, "q"), said(Role.SYSTEM, "c"))
    assert turns(request, system=False) == [(Role.ASSISTANT, "w"), (Role.USER, "a\n\nq"), (Role.USER, "c")]
    assert turns(ask(said(Role.SYSTEM, "a")), system=False) == [(Role.USER, "a")]


def test_calls_that_must_stand_alone_are_followed_by_their_results() -> None:
    both = Message(Role.ASSISTANT, (TextPart("w"),), tool_calls=(FIRST, SECOND))
    request = ask(said(Role.USER, "q"), both, result("s", "2"), result("r", "1"), result("lost", "3"), said(Role.USER, "n"))
    assert turns(request, calls=True, several_calls=False) == [
        (Role.USER, "q"), (Role.ASSISTANT, "wf"), (Role.TOOL, "r"), (Role.ASSISTANT, "g"), (Role.TOOL, "s"),
        (Role.TOOL, "lost"), (Role.USER, "n"),
    ]  # fmt: skip
    assert turns(request, calls=True)[1] == (Role.ASSISTANT, "wfg")


def test_words_that_would_hide_a_call_have_a_turn_of_their_own() -> None:
    spoken = Message(Role.ASSISTANT, (TextPart("w"),), tool_calls=(FIRST,))
    assert turns(ask("q", spoken, result("r", "1")), calls=True, spoken_calls=False)[1:3] == [
        (Role.ASSISTANT, "w"), (Role.ASSISTANT, "f"),
    ]  # fmt: skip


def test_a_question_behind_a_result_waits_for_an_answer_where_turns_alternate() -> None:
    request = ask(said(Role.USER, "q"), called("f", "{}"), result("r"), said(Role.USER, "n"))
    shape = {"calls": True, "results": True}
    assert turns(request, alternates=True, **shape)[2:] == [(Role.TOOL, "r"), (Role.ASSISTANT, " "), (Role.USER, "n")]
    assert turns(request, **shape)[2:] == [(Role.TOOL, "r"), (Role.USER, "n")]


def test_tools_are_introduced_where_the_template_has_no_words_for_them() -> None:
    ((role, text), _) = turns(ask("q", tools=(WEATHER,)))
    assert role is Role.SYSTEM
    assert all(word in text for word in ("<tool_call>", "get_weather", "Tells the weather.", '"city"'))
    ((_, text), _) = turns(ask(said(Role.SYSTEM, "a"), said(Role.USER, "q"), tools=(WEATHER,)))
    assert text.startswith("a\n\n")
    assert turns(ask("q", tools=(WEATHER,)), tools=True) == [(Role.USER, "q")]


def test_only_an_answer_or_a_thought_at_the_end_can_be_gone_on_with() -> None:
    assert begun_turn(ask("q", "a")) == said(Role.ASSISTANT, "a")
    thought = Message(Role.ASSISTANT, reasoning="hm")
    assert begun_turn(ask("q", thought)) == thought
    for request in (ask("q"), ask("q", "a", continues=False), ask("q", called("f", "{}")), ask("q", "")):
        assert begun_turn(request) is None


def test_an_empty_answer_at_the_end_is_none() -> None:
    assert turns(ask("q", "")) == [(Role.USER, "q")]
    assert turns(ask("q", Message(Role.ASSISTANT))) == [(Role.USER, "q")]
    assert turns(ask("q", "", continues=False)) == [(Role.USER, "q"), (Role.ASSISTANT, "")]
