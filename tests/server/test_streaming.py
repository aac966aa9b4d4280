from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import ContextOverflow, EngineCrashed, GenerationFailed, InvalidRequest
from app.domain.generation import Finished, FinishReason, GenerationEvent, TextDelta, Timings, Usage
from app.server.answers import IndexedEvent, Tally
from app.server.errors import Problem
from app.server.recording import RequestTrack
from app.server.streaming import EventStream
from tests.fakes import Answer, FakeLauncher
from tests.server.serving import HELLO, Gate, RawClient, chunks, serving

pytestmark = pytest.mark.anyio


async def test_a_stream_has_role_text_finish_and_done(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo")) as api:
        *parts, done = await api.stream()
    deltas = [part["choices"][0]["delta"] for part in parts]
    assert deltas == [{"role": "assistant", "content": "", "refusal": None}, {"content": "Hel"}, {"content": "lo"}, {}]
    assert [part["choices"][0]["finish_reason"] for part in parts] == [None, None, None, "stop"]
    assert done == "[DONE]"
    assert all("usage" not in part for part in parts)


async def test_what_identifies_a_stream_stays_the_same(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        *parts, _ = await api.stream(stream_options={"include_usage": True})
    assert len({(part["id"], part["created"], part["model"], part["system_fingerprint"]) for part in parts}) == 1


async def test_usage_comes_last_and_is_null_before(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo", cached_tokens=7)) as api:
        *parts, usage, _ = await api.stream(stream_options={"include_usage": True})
    assert all(part["usage"] is None for part in parts)
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 2
    assert usage["usage"]["total_tokens"] == usage["usage"]["prompt_tokens"] + 2
    assert usage["usage"]["prompt_tokens_details"]["cached_tokens"] == 7


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_a_stream_tells_how_far_the_prompt_is_read_when_asked(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo", cached_tokens=2)) as api:
        *parts, _ = await api.stream(path, prompt="Hello", return_progress=True)
        quiet = await api.stream(path, prompt="Hello")
    (told,) = [part for part in parts if "prompt_progress" in part]
    progress = told["prompt_progress"]
    assert (progress["total"], progress["processed"], progress["cache"]) == (progress["total"], progress["total"], 2)
    assert progress["time_ms"] >= 0
    (choice,) = told["choices"]
    assert choice.get("delta", {}) == {}
    assert choice["finish_reason"] is None
    assert "prompt_progress" not in str(quiet)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ContextOverflow(n_prompt=9, n_ctx=4), 400, "context_length_exceeded"),
        (InvalidRequest("No.", param="messages[0]"), 400, "invalid_value"),
        (EngineCrashed(exit_code=-6), 500, "engine_crashed"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_an_error_before_the_first_token_is_a_status_code(
    tmp_path: Path, error: InvalidRequest, status: int, code: str
) -> None:
    async with serving(tmp_path, Answer(error=error)) as api:
        answer = await api.chat(stream=True)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code


async def test_a_later_error_comes_in_the_stream(tmp_path: Path) -> None:
    broken = Answer(Answer.of("Hel", "lo").pieces, error=GenerationFailed("decode failed"))
    async with serving(tmp_path, broken) as api:
        parts = await api.stream()
    record = api.activity.records[-1]
    assert parts[-2]["error"]["code"] == "generation_failed"
    assert parts[-2]["error"]["message"] == "decode failed"
    assert parts[-1] == "[DONE]"
    assert (record.status, record.error) == (200, "decode failed")


async def test_a_model_that_dies_mid_answer_is_told_in_the_stream_and_the_next_request_works(tmp_path: Path) -> None:
    held = asyncio.Event()
    async with serving(tmp_path, Answer.of("Once", " upon", gate=held)) as api:
        client = await RawClient.connect(api.port)
        await client.post("/v1/chat/completions", {**HELLO, "stream": True})
        await client.until("Once")
        api.engine.crash()
        parts = chunks(await client.until("[DONE]\n\n"))
        await client.close()
        held.set()
        again = await api.chat()
    assert parts[-2]["error"]["code"] == "engine_crashed"
    assert again.status_code == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_frees_its_place(tmp_path: Path, stream: bool) -> None:
    held = Gate()
    async with serving(tmp_path, Answer.of("Once", " upon", gate=held)) as api:
        closed = asyncio.Event()
        api.activity.changed.subscribe(lambda record: closed.set() if record.status else None)
        client = await RawClient.connect(api.port)
        await client.post("/v1/chat/completions", {**HELLO, "stream": stream, "n": 2})
        await held.reached(2)
        await client.close()
        await closed.wait()
        assert api.engine.running == set()
        assert sorted(api.engine.cancelled) == sorted(job.id for job in api.engine.jobs)
        assert api.activity.records[-1].status == 499


async def test_a_client_that_leaves_while_its_model_loads_stops_the_loading(tmp_path: Path) -> None:
    held = Gate()
    launcher = FakeLauncher(gate=held)
    async with serving(tmp_path, launcher=launcher) as api:
        closed = asyncio.Event()
        api.activity.changed.subscribe(lambda record: closed.set() if record.status else None)
        client = await RawClient.connect(api.port)
        await client.post("/v1/chat/completions", {**HELLO, "stream": True})
        await held.reached()
        await client.close()
        await closed.wait()
        await held.left.wait()
        assert api.activity.records[-1].status == 499


class PlainFrames:
    def opening(self) -> bytes:
        return b"open;"

    def event(self, index: int, event: GenerationEvent) -> bytes:
        return event.text.encode() if isinstance(event, TextDelta) else b""

    def closing(self, tally: Tally) -> bytes:
        return f"{tally.usage.completion_tokens};".encode()

    def ping(self) -> bytes:
        return b"ping;"

    def failed(self, problem: Problem) -> bytes:
        return problem.message.encode()


async def respond(events: AsyncGenerator[IndexedEvent, None], until: str, *, decide_s: float) -> str:
    """Run an EventStream that pings without pause, until `until` was written; then the client leaves."""
    stream = EventStream(events, PlainFrames(), Tally(), RequestTrack("/x", None), headers={}, ping_s=0)
    written: list[bytes] = []
    seen = asyncio.Event()

    async def send(message: Any) -> None:
        written.append(message.get("body", b""))
        if until in b"".join(written).decode():
            seen.set()
        await asyncio.sleep(0)

    async def receive() -> dict[str, str]:
        await seen.wait()
        return {"type": "http.disconnect"}

    await stream.decide(decide_s)
    await stream({"type": "http"}, receive, send)
    return b"".join(written).decode()


async def test_silence_is_filled_with_comments() -> None:
    async def silent() -> AsyncGenerator[IndexedEvent, None]:
        yield 0, TextDelta("a;")
        await asyncio.Event().wait()

    assert (await respond(silent(), "a;ping;ping;", decide_s=1)).startswith("open;")


async def test_a_first_event_that_takes_long_does_not_hold_up_the_stream() -> None:
    async def slow() -> AsyncGenerator[IndexedEvent, None]:
        await asyncio.Event().wait()
        yield 0, TextDelta("never")

    assert "never" not in await respond(slow(), "open;ping;", decide_s=0)


async def test_an_error_after_a_long_silence_comes_in_the_stream() -> None:
    async def failing() -> AsyncGenerator[IndexedEvent, None]:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        raise InvalidRequest("Too long.")
        yield

    text = await respond(failing(), "[DONE]", decide_s=0)
    assert "Too long." in text


async def test_events_are_closed_whatever_happens() -> None:
    closed: list[str] = []

    async def watched(name: str, *, fail: bool = False, wait: bool = False) -> AsyncGenerator[IndexedEvent, None]:
        try:
            if fail:
                raise GenerationFailed("no")
            yield 0, TextDelta("a;")
            if wait:
                await asyncio.Event().wait()
            yield 0, Finished(FinishReason.STOP, Usage(1, 1), Timings(0.0, 0.0, 0.0))
        finally:
            closed.append(name)

    assert "a;1;" in await respond(watched("end"), "[DONE]", decide_s=1)
    await respond(watched("left", wait=True), "a;", decide_s=1)
    with pytest.raises(GenerationFailed):
        await respond(watched("failed", fail=True), "never", decide_s=1)
    assert closed == ["end", "left", "failed"]
