"""`whole` and `head`: what is written, read again by the models of the official client."""

from __future__ import annotations

from typing import Any

import anthropic.types
import pytest

from app.domain.generation import (
    Finished,
    FinishReason,
    GenerationEvent,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    Timings,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)
from app.server.wire.anthropic.head import MessageHead
from app.server.wire.anthropic.thinking import Display
from app.server.wire.anthropic.whole import WholeMessage


def end(
    reason: FinishReason = FinishReason.STOP, *, n_written: int = 4, stopped_by: str | None = None, error: str | None = None
) -> Finished:
    return Finished(reason, Usage(9, n_written, 3, 2), Timings(0.0, 0.1, 0.2), error, stopped_by)


def whole(*events: GenerationEvent, display: Display = Display.SHOWN) -> dict[str, Any]:
    message = WholeMessage(MessageHead("msg_1", 'odd "model"\n', 10, display))
    for event in events:
        message.add(event)
    body = message.body()
    anthropic.types.Message.model_validate(body)
    return body


def test_a_text_answer() -> None:
    body = whole(PrefillProgress(9, 9, 3), TextDelta("Hel"), TextDelta(""), TextDelta("lo"), end())
    assert body == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": 'odd "model"\n',
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 6,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 3,
            "output_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 2},
        },
    }


def test_blocks_come_in_the_order_in_which_they_were_written() -> None:
    body = whole(
        ReasoningDelta("Hm"),
        ReasoningDelta("."),
        TextDelta("I add."),
        ToolCallStarted(0, "call_0", "add"),
        ToolArgumentsDelta(0, '{"x":'),
        ToolArgumentsDelta(0, " 1}"),
        ToolCallStarted(1, "call_1", "now"),
        TextDelta("Done."),
        end(FinishReason.TOOL_CALLS),
    )
    assert body["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "hearth:"},
        {"type": "text", "text": "I add."},
        {"type": "tool_use", "id": "call_0", "name": "add", "input": {"x": 1}},
        {"type": "tool_use", "id": "call_1", "name": "now", "input": {}},
        {"type": "text", "text": "Done."},
    ]
    assert body["stop_reason"] == "tool_use"


def test_thoughts_nobody_asked_for_stay_out_and_omitted_ones_leave_their_signature() -> None:
    events = (ReasoningDelta("Hm."), TextDelta("Two."), end())
    assert whole(*events, display=Display.NONE)["content"] == [{"type": "text", "text": "Two."}]
    thought, _ = whole(*events, display=Display.OMITTED)["content"]
    assert thought == {"type": "thinking", "thinking": "", "signature": "hearth:SG0u"}


@pytest.mark.parametrize(
    ("finished", "reason", "sequence"),
    [
        (end(), "end_turn", None),
        (end(stopped_by="END"), "stop_sequence", "END"),
        (end(FinishReason.TOOL_CALLS), "tool_use", None),
        (end(FinishReason.TOOL_CALLS, stopped_by="END"), "stop_sequence", "END"),
        (end(FinishReason.LENGTH, n_written=10), "max_tokens", None),
        (end(FinishReason.LENGTH, n_written=9), "model_context_window_exceeded", None),
    ],
)
def test_why_an_answer_ended_is_told(finished: Finished, reason: str, sequence: str | None) -> None:
    body = whole(TextDelta("Hello"), finished)
    assert (body["stop_reason"], body["stop_sequence"]) == (reason, sequence)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ('{"x": 1, "y": "unfin', {"x": 1}),
        ('{"x": [1, 2', {"x": [1, 2]}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ("x = 1", {"INVALID_JSON": "x = 1"}),
    ],
)
def test_arguments_are_an_object_whatever_the_model_wrote(arguments: str, expected: dict[str, Any]) -> None:
    body = whole(ToolCallStarted(0, "call_0", "add"), ToolArgumentsDelta(0, arguments), end(FinishReason.LENGTH))
    assert body["content"][0]["input"] == expected


def test_an_answer_that_fails_its_schema_says_so() -> None:
    assert whole(TextDelta("{}"), end(error="'x' is missing"))["schema_error"] == "'x' is missing"
