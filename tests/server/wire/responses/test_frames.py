from __future__ import annotations

import json
from typing import Any

import pytest

from app.domain.generation import (
    Finished,
    FinishReason,
    GenerationEvent,
    ReasoningDelta,
    TextDelta,
    Timings,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)
from app.server.answers import Tally
from app.server.errors import http_problem
from app.server.wire.responses.body import ResponseBody
from app.server.wire.responses.frames import ResponseFrames
from app.server.wire.responses.output import ResponseOutput, ShownOutput
from app.server.wire.responses.reply import ResponseHead
from app.server.wire.responses.tools import OfferedTools, ToolName

TIMINGS = Timings(0.0, 0.1, 0.1)
TEXT = TextDelta("Hi", (TokenLogprob(1, "Hi", b"Hi", -0.5),))
CALL = (ToolCallStarted(0, "call_1", "n.add"), ToolArgumentsDelta(0, "{}"))


class Stream:
    """One response's stream, written and read."""

    def __init__(self, **shown: Any) -> None:
        self.kept: list[dict[str, Any]] = []
        head = ResponseHead.of(ResponseBody(model="ember", input="Hello"), OfferedTools((), {}, (), ()))
        self.frames = ResponseFrames(head, ResponseOutput(ShownOutput(**shown)), self.kept.append)

    def events(self, *said: GenerationEvent, reason: FinishReason | None = FinishReason.STOP) -> list[dict[str, Any]]:
        """`reason` None breaks it off."""
        parts = [self.frames.opening(), *(self.frames.event(0, event) for event in said)]
        tally = Tally()
        if reason is None:
            parts.append(self.frames.failed(http_problem(503, "Stopping.")))
        else:
            finished = Finished(reason, Usage(3, 2, reasoning_tokens=1), TIMINGS)
            tally.add(0, finished)
            parts += [self.frames.event(0, finished), self.frames.closing(tally)]
        return read(b"".join(parts))


def read(stream: bytes) -> list[dict[str, Any]]:
    events = []
    for block in stream.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event: dict[str, Any] = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_words_are_a_message_with_one_part() -> None:
    stream = Stream()
    events = stream.events(TEXT, TextDelta("!"))
    assert kinds(events) == [
        *("created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    added, part, first, _, text, part_done, done, completed = events[2:]
    assert (added["item"]["content"], added["item"]["status"], part["part"]["text"]) == ([], "in_progress", "")
    assert (first["delta"], first["logprobs"], first["output_index"], first["content_index"]) == ("Hi", [], 0, 0)
    assert text["text"] == part_done["part"]["text"] == done["item"]["content"][0]["text"] == "Hi!"
    assert {event["item_id"] for event in (part, first, text, part_done)} == {added["item"]["id"]}
    assert completed["response"]["output"] == [done["item"]]
    assert stream.kept == [completed["response"]]
    assert completed["response"]["usage"]["output_tokens_details"] == {"reasoning_tokens": 1}


def test_log_probabilities_come_with_the_words_where_they_are_shown() -> None:
    events = Stream(logprobs=True).events(TextDelta("", TEXT.logprobs), TextDelta("Hi"))
    told = [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]
    assert [event["logprobs"] for event in events if event["type"] == "response.output_text.delta"] == [told, []]
    assert events[-2]["item"]["content"][0]["logprobs"] == told


@pytest.mark.parametrize("summary", [False, True])
def test_reasoning_words_and_calls_are_items_of_their_own_in_order(summary: bool) -> None:
    names = {"n.add": ToolName("add", "n")}
    events = Stream(summary=summary, sealed_reasoning=True, names=names).events(ReasoningDelta("Hm."), TEXT, *CALL)
    thinking, part = ("reasoning_summary_text", "reasoning_summary_part") if summary else ("reasoning_text", "content_part")
    assert kinds(events)[2:-1] == [
        *("output_item.added", f"{part}.added", f"{thinking}.delta", f"{thinking}.done", f"{part}.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"),
    ]
    thought, message, call = events[-1]["response"]["output"]
    shown = thought["summary"] if summary else thought["content"]
    assert [text["text"] for text in shown] == ["Hm."]
    assert thought["encrypted_content"]
    assert message["content"][0]["text"] == "Hi"
    assert (call["call_id"], call["namespace"], call["name"], call["arguments"]) == ("call_1", "n", "add", "{}")
    assert [event["output_index"] for event in events if event["type"] == "response.output_item.done"] == [0, 1, 2]


def test_reasoning_that_is_not_to_be_shown_leaves_nothing() -> None:
    events = Stream(reasoning=False).events(ReasoningDelta("Hm."), TEXT)
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["message"]


def test_an_answer_that_was_cut_is_incomplete_in_its_last_item() -> None:
    events = Stream().events(ReasoningDelta("Hm."), TEXT, reason=FinishReason.LENGTH)
    response = events[-1]["response"]
    assert (events[-1]["type"], response["status"]) == ("response.incomplete", "incomplete")
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


def test_an_answer_that_broke_off_says_why_and_keeps_what_there_was() -> None:
    stream = Stream()
    *_, error, failed = stream.events(TEXT, reason=None)
    assert (error["type"], error["code"], error["message"]) == ("error", "shutting_down", "Stopping.")
    assert (failed["type"], failed["response"]["error"]["code"]) == ("response.failed", "server_error")
    assert failed["response"]["output"][0]["status"] == "incomplete"
    assert stream.kept == [failed["response"]]
