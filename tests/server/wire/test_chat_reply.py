"""`chat_reply` and `reply`: what is written, read again by the models of the official client."""

from __future__ import annotations

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from app.domain.generation import (
    Finished,
    FinishReason,
    GenerationEvent,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    Timings,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)
from app.server.answers import Answer, Tally
from app.server.wire.chat_reply import ChatFrames, chat_completion
from app.server.wire.reply import ReplyHead

HEAD = ReplyHead.of("chatcmpl-", 'odd "model"\n', "fp_x")
END = Finished(FinishReason.TOOL_CALLS, Usage(9, 4, 3, 2), Timings(0.0, 0.1, 0.2))
TOKEN = TokenLogprob(7, "é", "é".encode(), -0.5, (TokenLogprob(8, "e", b"e", float("-inf")),))


def whole(*events: GenerationEvent, logprobs: bool = False) -> dict[str, Any]:
    answer, tally = Answer(), Tally()
    for event in events:
        answer.add(event)
        if isinstance(event, Finished):
            tally.add(0, event)
    body = chat_completion(HEAD, [answer], tally, logprobs=logprobs)
    return ChatCompletion.model_validate(body, strict=False).model_dump() | {"raw": body}


def chunk(event: GenerationEvent, *, logprobs: bool = False, index: int = 0) -> dict[str, Any]:
    frame = ChatFrames(HEAD, choices=2, logprobs=logprobs, usage=False).event(index, event).decode()
    assert frame.startswith("data: ")
    assert frame.endswith("\n\n")
    assert frame.count("\n") == 2
    body = json.loads(frame.removeprefix("data: "))
    ChatCompletionChunk.model_validate(body)
    assert body["id"] == HEAD.id
    assert body["model"] == 'odd "model"\n'
    choice: dict[str, Any] = body["choices"][0]
    assert choice["index"] == index
    return choice


def test_a_text_answer_has_all_keys_that_clients_ask_for() -> None:
    body = whole(PrefillProgress(9, 9, 3), TextDelta("Hel"), TextDelta("lo"), END)["raw"]
    assert list(body) == ["id", "object", "created", "model", "system_fingerprint", "choices", "usage", "timings"]
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hello", "refusal": None}
    assert choice["logprobs"] is None
    assert body["usage"]["total_tokens"] == 13
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 3
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2
    assert (body["timings"]["cache_n"], body["timings"]["prompt_n"]) == (3, 6)


def test_a_tool_call_leaves_the_content_null() -> None:
    message = whole(ToolCallStarted(0, "call_1", "add"), ToolArgumentsDelta(0, "{}"), END)["raw"]["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]


def test_an_empty_answer_is_an_empty_text() -> None:
    assert whole(END)["raw"]["choices"][0]["message"]["content"] == ""


def test_reasoning_is_kept_apart_from_the_answer() -> None:
    message = whole(ReasoningDelta("Hm"), ReasoningDelta("m."), TextDelta("42"), END)["raw"]["choices"][0]["message"]
    assert (message["reasoning_content"], message["reasoning"], message["content"]) == ("Hmm.", "Hmm.", "42")


def test_log_probabilities_are_finite_json_with_bytes() -> None:
    body = whole(TextDelta("é", (TOKEN,)), END, logprobs=True)["raw"]
    (entry,) = body["choices"][0]["logprobs"]["content"]
    assert entry["bytes"] == [195, 169]
    assert entry["top_logprobs"] == [{"token": "e", "logprob": -9999.0, "bytes": [101]}]


def test_deltas_carry_what_is_new() -> None:
    assert chunk(TextDelta('"quoted"\n')) == {
        "index": 0, "delta": {"content": '"quoted"\n'}, "logprobs": None, "finish_reason": None,
    }  # fmt: skip
    assert chunk(ReasoningDelta("Hm"))["delta"] == {"reasoning_content": "Hm", "reasoning": "Hm"}
    assert chunk(END, index=1) == {"index": 1, "delta": {}, "logprobs": None, "finish_reason": "tool_calls"}


def test_a_tool_call_begins_with_its_name_and_goes_on_with_its_arguments() -> None:
    started = chunk(ToolCallStarted(1, "call_2", "add"))["delta"]["tool_calls"]
    assert started == [{"index": 1, "id": "call_2", "type": "function", "function": {"name": "add", "arguments": ""}}]
    assert chunk(ToolArgumentsDelta(1, '{"x"'))["delta"]["tool_calls"] == [{"index": 1, "function": {"arguments": '{"x"'}}]


def test_log_probabilities_come_with_their_delta_even_if_it_has_no_text_yet() -> None:
    assert chunk(TextDelta("", (TOKEN,)), logprobs=True)["logprobs"]["content"][0]["logprob"] == -0.5


def test_nothing_is_written_for_nothing() -> None:
    frames = ChatFrames(HEAD, choices=1, logprobs=False, usage=False)
    assert frames.event(0, TextDelta("")) == frames.event(0, PrefillProgress(1, 2, 0)) == b""
    assert frames.closing(Tally()) == b"data: [DONE]\n\n"


def test_every_choice_begins_with_its_role() -> None:
    opening = ChatFrames(HEAD, choices=3, logprobs=False, usage=True).opening().decode().strip().split("\n\n")
    bodies = [json.loads(frame.removeprefix("data: ")) for frame in opening]
    assert [body["choices"][0]["index"] for body in bodies] == [0, 1, 2]
    assert all(body["choices"][0]["delta"]["role"] == "assistant" and body["usage"] is None for body in bodies)
