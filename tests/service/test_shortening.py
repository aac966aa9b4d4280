from __future__ import annotations

import tracemalloc

from app.domain.messages import Message, Role, ToolCall
from app.service.shortening import ShorterVersions, room_for_answer


def said(*messages: tuple[Role, str]) -> list[Message]:
    """`call` as a text makes it one."""
    return [
        Message(role, tool_calls=(ToolCall("c", "f", "{}"),), name=text)
        if text.startswith("call")
        else Message(role, name=text)
        for role, text in messages
    ]


def versions(*messages: tuple[Role, str]) -> list[list[str | None]]:
    shorter = ShorterVersions(said(*messages))
    return [[message.name for message in shorter[version]] for version in range(len(shorter))]


def test_whole_exchanges_go_first_and_instructions_stay() -> None:
    assert versions(
        (Role.SYSTEM, "s"),
        (Role.USER, "u1"),
        (Role.ASSISTANT, "a1"),
        (Role.USER, "u2"),
        (Role.ASSISTANT, "a2"),
        (Role.USER, "u3"),
    ) == [
        ["s", "u1", "a1", "u2", "a2", "u3"],
        ["s", "u2", "a2", "u3"],
        ["s", "u3"],
    ]


def test_then_the_calls_since_the_last_question_go_with_their_results_but_not_the_latest() -> None:
    assert versions(
        (Role.USER, "u1"),
        (Role.ASSISTANT, "a1"),
        (Role.DEVELOPER, "d"),
        (Role.USER, "u2"),
        (Role.ASSISTANT, "call1"),
        (Role.TOOL, "r1"),
        (Role.TOOL, "r1b"),
        (Role.ASSISTANT, "call2"),
        (Role.TOOL, "r2"),
    ) == [
        ["u1", "a1", "d", "u2", "call1", "r1", "r1b", "call2", "r2"],
        ["d", "u2", "call1", "r1", "r1b", "call2", "r2"],
        ["d", "u2", "call2", "r2"],
    ]


def test_a_conversation_of_one_question_can_t_be_made_shorter() -> None:
    assert versions((Role.SYSTEM, "s"), (Role.USER, "u")) == [["s", "u"]]
    assert versions((Role.ASSISTANT, "a")) == [["a"]]
    assert versions() == [[]]


def test_of_a_long_conversation_only_what_is_asked_for_is_made() -> None:
    messages = said((Role.USER, "u"), *[(Role.ASSISTANT, "call"), (Role.TOOL, "r")] * 4_000)
    tracemalloc.start()
    shorter = ShorterVersions(messages)
    assert (len(shorter), len(shorter[len(shorter) // 2])) == (4_000, 4_001)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000


def test_an_answer_gets_what_it_may_have_or_a_quarter() -> None:
    assert room_for_answer(1000, None) == 250
    assert room_for_answer(1000, 10) == 10
    assert room_for_answer(1000, 5000) == 500
