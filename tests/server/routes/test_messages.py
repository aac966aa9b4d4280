from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.domain.errors import EngineCrashed
from app.domain.generation import FinishReason
from tests.fakes import Answer, piece
from tests.server.serving import HELLO, Gate, RawClient, Serving, serving

pytestmark = pytest.mark.anyio

ASK = {**HELLO, "max_tokens": 9}
TOOLS = [{"name": "add", "input_schema": {"type": "object"}}]


async def message(api: Serving, **changes: Any) -> httpx2.Response:
    return await api.http.post("/v1/messages", json={**ASK, **changes})


async def stream(api: Serving, **changes: Any) -> list[dict[str, Any]]:
    answer = await message(api, stream=True, **changes)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]


async def test_a_conversation_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo", cached_tokens=3)) as api:
        answer = await message(api)
        (record,) = api.activity.records
    body = answer.json()
    assert body["id"].startswith("msg_")
    assert body["content"] == [{"type": "text", "text": "Hello"}]
    assert (body["model"], body["stop_reason"]) == ("ember", "end_turn")
    assert body["usage"]["input_tokens"] == len("<user>Hello<assistant>") - 3
    assert body["usage"]["cache_read_input_tokens"] == 3
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert (record.endpoint, record.model, record.completion_tokens) == ("/v1/messages", "ember", 2)


async def test_a_stream_says_the_same_as_a_whole_answer(tmp_path: Path) -> None:
    script = Answer.of("Hel", "lo", cached_tokens=3)
    async with serving(tmp_path, script) as api:
        whole = (await message(api)).json()
        start, *_, last, stop = events = await stream(api)
        record = api.activity.records[0]
    assert start["message"]["usage"]["cache_read_input_tokens"] == 3
    assert start["message"]["usage"]["input_tokens"] == whole["usage"]["input_tokens"]
    text = "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
    assert text == whole["content"][0]["text"]
    assert last["usage"] == whole["usage"]
    assert last["delta"]["stop_reason"] == whole["stop_reason"]
    assert stop == {"type": "message_stop"}
    assert (record.status, record.completion_tokens) == (200, 2)


async def test_what_was_asked_reaches_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await message(
            api, system="Be brief.", temperature=0.5, stop_sequences=["END"], thinking={"type": "enabled", "budget_tokens": 5}
        )
        (job,) = api.engine.jobs
    prompt = "".join(segment.text for segment in job.prompt)
    assert prompt == "<system>Be brief.<user>Hello<assistant>"
    assert (job.max_tokens, job.stop, job.sampling.temperature) == (9, ("END",), 0.5)
    assert job.reasoning_limit is not None
    assert job.reasoning_limit.n_tokens == 5


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_very_stop_sequence_is_told(tmp_path: Path, streamed: bool) -> None:
    async with serving(tmp_path, Answer.of("Hi", stopped_by="END")) as api:
        told = (await stream(api))[-2]["delta"] if streamed else (await message(api)).json()
    assert (told["stop_reason"], told["stop_sequence"]) == ("stop_sequence", "END")


async def test_a_full_context_is_told_from_a_limit(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("a", "b", reason=FinishReason.LENGTH)) as api:
        limited = (await message(api, max_tokens=2)).json()
        full = (await message(api, max_tokens=3)).json()
    assert (limited["stop_reason"], full["stop_reason"]) == ("max_tokens", "model_context_window_exceeded")


async def test_thoughts_and_calls_come_as_blocks(tmp_path: Path) -> None:
    script = Answer(
        (
            *(piece("<think>", control=True), piece("Hm."), piece("</think>", control=True), piece("I add.")),
            *(piece("<call>", control=True), piece('add {"x": 1}')),
        )
    )
    async with serving(tmp_path, script) as api:
        asked = (await message(api, tools=TOOLS, thinking={"type": "adaptive"})).json()
        events = await stream(api, tools=TOOLS, thinking={"type": "adaptive"})
        unasked = (await message(api, tools=TOOLS)).json()
    assert [block["type"] for block in asked["content"]] == ["thinking", "text", "tool_use"]
    assert asked["content"][2]["input"] == {"x": 1}
    assert asked["stop_reason"] == "tool_use"
    assert asked["usage"]["output_tokens_details"] == {"thinking_tokens": 1}
    started = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
    assert started == ["thinking", "text", "tool_use"]
    assert [block["type"] for block in unasked["content"]] == ["text", "tool_use"]


async def test_one_call_at_a_time_ends_the_answer_after_it(tmp_path: Path) -> None:
    script = Answer((piece("<call>", control=True), piece("add {}"), piece("add {}")))
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    async with serving(tmp_path, script) as api:
        body = (await message(api, tools=TOOLS, tool_choice=choice)).json()
    assert len(body["content"]) == 1


async def test_a_failure_in_a_stream_is_an_error_event(tmp_path: Path) -> None:
    script = Answer((piece("Hel"),), error=EngineCrashed(exit_code=-6))
    async with serving(tmp_path, script) as api:
        *before, failed = await stream(api)
        (record,) = api.activity.records
    assert before[-1]["delta"]["text"] == "Hel"
    assert (failed["type"], failed["error"]["type"]) == ("error", "api_error")
    assert failed["request_id"] == record.id


async def test_a_client_that_leaves_ends_its_answer(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, Answer.of("Hel", "lo", gate=gate)) as api:
        client = await RawClient.connect(api.port)
        await client.post("/v1/messages", {**ASK, "stream": True})
        await client.until("Hel")
        await client.close()
        await gate.left.wait()
        assert api.engine.cancelled


async def test_tokens_are_counted_without_an_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post(
            "/v1/messages/count_tokens?beta=true", json={**HELLO, "system": "Be brief.", "max_tokens": 5}
        )
        assert api.engine.jobs == []
        missing = await api.http.post("/v1/messages/count_tokens", json={**HELLO, "model": "nope"})
    assert answer.json() == {"input_tokens": len("<system>Be brief.<user>Hello<assistant>")}
    assert answer.headers["x-hearth-ignored"] == "max_tokens"
    assert missing.status_code == 404


async def test_fields_without_effect_are_named(tmp_path: Path) -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "context-management-2025-06-27,x"}
    changes = {"metadata": {"user_id": "me"}, "context_management": {"edits": []}, "novel": 1}
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/messages?beta=true", json={**ASK, **changes}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["x-hearth-ignored"] == "metadata, context_management, novel"
