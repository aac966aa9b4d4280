"""The engine on a thread of this process: the same behaviour as in a worker, with a scripted engine."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from pathlib import Path

import pytest

from app.domain.errors import EngineBusy, EngineCrashed, EngineStopped, GenerationFailed, InvalidRequest, ModelLoadFailed
from app.domain.generation import SamplingParams
from app.domain.prompt import PlainText
from app.engine.client import EngineOutput
from app.engine.inprocess import ThreadEngineClient, ThreadLauncher
from app.engine.protocol import Done, EngineConfig, GenerateJob, JobEvent, PromptProgress, Tokens
from tests.engine.scripted_engine import ScriptedEngine, load_scripted

pytestmark = pytest.mark.anyio


def job(script: str, id: str = "a") -> GenerateJob:
    return GenerateJob(id, (PlainText(script),), SamplingParams())


async def launch(file: str = "good.gguf") -> ThreadEngineClient:
    return await ThreadLauncher(load_scripted).launch(EngineConfig(Path(file)), on_progress=lambda fraction: None)


async def collect(client: ThreadEngineClient, script: str, id: str = "a") -> list[EngineOutput]:
    return [output async for output in client.generate(job(script, id))]


def text_of(outputs: list[EngineOutput]) -> str:
    return " ".join(piece.text for output in outputs if isinstance(output, Tokens) for piece in output.pieces)


def engine_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("engine")]


async def test_load_answer_and_close_leave_no_thread() -> None:
    told: list[float] = []
    client = await ThreadLauncher(load_scripted).launch(EngineConfig(Path("good.gguf")), on_progress=told.append)
    assert told == [0.5, 1.0]
    assert client.info.name == "good"
    assert client.pid is None
    outputs = await collect(client, "say one two")
    assert isinstance(outputs[0], PromptProgress)
    assert isinstance(outputs[-1], Done)
    assert text_of(outputs) == "one two"
    await client.close()
    await client.close()
    assert engine_threads() == []
    assert not client.crashed


async def test_leaving_an_answer_cancels_it_and_the_engine_goes_on() -> None:
    client = await launch()
    async with aclosing(client.generate(job("forever", "left"))) as answer:
        await anext(answer)
    assert text_of(await collect(client, "say again")) == "again"
    assert len((await client.embed(("a", "b"))).vectors) == 2
    await client.close()


@pytest.mark.parametrize(("script", "kind"), [("invalid", InvalidRequest), ("bug", GenerationFailed), ("busy", EngineBusy)])
async def test_a_job_that_fails_costs_only_itself(script: str, kind: type[Exception]) -> None:
    client = await launch()
    with pytest.raises(kind):
        await collect(client, script)
    assert text_of(await collect(client, "say next")) == "next"
    await client.close()


async def test_a_step_that_raises_fails_every_stream() -> None:
    client = await launch()
    other = asyncio.ensure_future(collect(client, "forever", "other"))
    with pytest.raises(EngineCrashed) as caught:
        await collect(client, "raise")
    assert "the step failed" in "".join(caught.value.log_tail)
    with pytest.raises(EngineCrashed):
        await other
    await client.wait_closed()
    assert client.crashed
    await client.close()
    assert engine_threads() == []


async def test_close_fails_what_runs() -> None:
    client = await launch()
    answer = asyncio.ensure_future(collect(client, "forever"))
    await client.tokenize((PlainText("a"),))
    await client.close()
    with pytest.raises(EngineStopped):
        await answer


@pytest.mark.parametrize(("file", "reason"), [("bad.gguf", "truncated"), ("bug.gguf", "failed")])
async def test_a_load_that_fails_says_why_and_leaves_no_thread(file: str, reason: str) -> None:
    with pytest.raises(ModelLoadFailed, match=reason):
        await launch(file)
    assert engine_threads() == []


async def test_cancelling_a_load_ends_its_thread() -> None:
    progressed = asyncio.Event()
    config = EngineConfig(Path("stuck.gguf"))
    load = asyncio.ensure_future(ThreadLauncher(load_scripted).launch(config, on_progress=lambda fraction: progressed.set()))
    await progressed.wait()
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    assert engine_threads() == []


async def test_an_engine_that_sits_in_native_code_is_left_and_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, released = threading.Event(), threading.Event()

    class Sitting(ScriptedEngine):
        def step(self) -> list[JobEvent]:
            entered.set()
            released.wait(30)
            return super().step()

    monkeypatch.setattr("app.engine.inprocess._CLOSE_S", 0.05)
    launcher = ThreadLauncher(lambda config, on_progress: Sitting())
    client = await launcher.launch(EngineConfig(Path("good.gguf")), on_progress=lambda fraction: None)
    answer = asyncio.ensure_future(collect(client, "say one"))
    await asyncio.to_thread(entered.wait, 5)
    await client.close()
    await asyncio.wait_for(client.wait_closed(), 5)
    with pytest.raises(EngineStopped):
        await answer
    released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("engine"):
            thread.join(5)
    assert engine_threads() == []
