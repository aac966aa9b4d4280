"""`frames`: what is written, read again by the models of the official client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from pydantic import TypeAdapter

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
from app.server.answers import Tally
from app.server.errors import http_problem
from app.server.wire.anthropic.frames import MessageFrames
from app.server.wire.anthropic.head import MessageHead
from app.server.wire.anthropic.thinking import Display

_EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
READ = PrefillProgress(9, 9, 3)
END = Finished(FinishReason.STOP, Usage(9, 4, 3, 2), Timings(0.0, 0.1, 0.2), stopped_by="END")


def frames(display: Display = Display.SHOWN) -> MessageFrames:
    return MessageFrames(MessageHead("msg_1", 'odd "model"\n', 10, display), "req_1")


def parsed(text: bytes) -> list[dict[str, Any]]:
    """The events of a stream, each checked for its name."""
    bodies = []
    for frame in text.decode().removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        body = json.loads(data.removeprefix("data: "))
        assert name == f"event: {body['type']}"
        bodies.append(body)
    return bodies


def streamed(*events: GenerationEvent, display: Display = Display.SHOWN) -> list[dict[str, Any]]:
    """A whole stream, from its opening to its end."""
    writer = frames(display)
    written = [writer.opening(), *(writer.event(0, event) for event in events), writer.closing(Tally())]
    bodies = parsed(b"".join(written))
    for body in bodies:
        _EVENT.validate_python(body)
    return bodies


def test_a_text_answer_is_told_event_by_event() -> None:
    start, opened, one, two, closed, last, stop = streamed(
        READ, TextDelta("Hé\n"), TextDelta(""), PrefillProgress(9, 9, 3), TextDelta('"'), END
    )
    message = start["message"]
    assert (message["id"], message["model"], message["content"]) == ("msg_1", 'odd "model"\n', [])
    assert (message["stop_reason"], message["stop_sequence"]) == (None, None)
    assert message["usage"] == {
        "input_tokens": 6,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 3,
        "output_tokens": 0,
        "output_tokens_details": {"thinking_tokens": 0},
    }
    assert opened == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert one == {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hé\n"}}
    assert two["delta"]["text"] == '"'
    assert closed == {"type": "content_block_stop", "index": 0}
    assert last["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END", "stop_details": None}
    assert (last["usage"]["output_tokens"], last["usage"]["output_tokens_details"]) == (4, {"thinking_tokens": 2})
    assert stop == {"type": "message_stop"}


def test_each_kind_of_block_has_its_own_deltas() -> None:
    events = streamed(
        READ,
        ReasoningDelta("Hm."),
        TextDelta("I add."),
        ToolCallStarted(0, "call_0", "add"),
        ToolArgumentsDelta(0, '{"x":'),
        ToolArgumentsDelta(0, ""),
        ToolArgumentsDelta(0, "1}"),
        ToolCallStarted(1, "call_1", "now"),
        TextDelta("Done."),
        END,
    )
    started = {event["index"]: event["content_block"] for event in events if event["type"] == "content_block_start"}
    assert started == {
        0: {"type": "thinking", "thinking": "", "signature": ""},
        1: {"type": "text", "text": ""},
        2: {"type": "tool_use", "id": "call_0", "name": "add", "input": {}},
        3: {"type": "tool_use", "id": "call_1", "name": "now", "input": {}},
        4: {"type": "text", "text": ""},
    }
    deltas = [(event["index"], event["delta"]) for event in events if event["type"] == "content_block_delta"]
    assert deltas == [
        (0, {"type": "thinking_delta", "thinking": "Hm."}),
        (0, {"type": "signature_delta", "signature": "hearth:"}),
        (1, {"type": "text_delta", "text": "I add."}),
        (2, {"type": "input_json_delta", "partial_json": '{"x":'}),
        (2, {"type": "input_json_delta", "partial_json": "1}"}),
        (4, {"type": "text_delta", "text": "Done."}),
    ]
    order = [event["type"] for event in events if event.get("index") == 1]
    assert order == ["content_block_start", "content_block_delta", "content_block_stop"]


def test_omitted_thoughts_leave_a_block_with_a_signature() -> None:
    events = streamed(READ, ReasoningDelta("H"), ReasoningDelta("m."), TextDelta("Two."), END, display=Display.OMITTED)
    inside = [event["delta"] for event in events if event["type"] == "content_block_delta" and event["index"] == 0]
    assert inside == [{"type": "signature_delta", "signature": "hearth:SG0u"}]


def test_thoughts_nobody_asked_for_are_not_told() -> None:
    events = streamed(READ, ReasoningDelta("Hm."), TextDelta("Two."), END, display=Display.NONE)
    assert [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"] == ["text"]


def test_an_answer_without_a_word_is_a_message_without_blocks() -> None:
    assert [event["type"] for event in streamed(READ, END)] == ["message_start", "message_delta", "message_stop"]


def test_a_stream_starts_even_if_nothing_is_said_of_the_prompt() -> None:
    assert streamed(TextDelta("x"), END)[0]["type"] == "message_start"
    start, *_ = streamed(END)
    assert start["message"]["usage"]["input_tokens"] == 6


def test_the_message_starts_once() -> None:
    writer = frames()
    assert writer.opening() == b""
    assert writer.event(0, PrefillProgress(3, 9, 3))
    assert writer.event(0, PrefillProgress(9, 9, 3)) == b""


def test_silence_is_a_ping_and_a_failure_an_event_of_its_own() -> None:
    assert parsed(frames().ping()) == [{"type": "ping"}]
    (failed,) = parsed(frames().failed(http_problem(503, "Bye.")))
    assert failed == {"type": "error", "error": {"type": "overloaded_error", "message": "Bye."}, "request_id": "req_1"}


@pytest.mark.parametrize("event", [TextDelta(""), ReasoningDelta(""), ToolArgumentsDelta(0, "")])
def test_nothing_is_written_for_nothing(event: GenerationEvent) -> None:
    assert frames().event(0, event) == b""
