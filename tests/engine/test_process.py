"""The program's end of a worker, against a real child process with a scripted engine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from app.domain.errors import EngineBusy, EngineCrashed, EngineStopped, GenerationFailed, InvalidRequest, ModelLoadFailed
from app.domain.generation import SamplingParams
from app.domain.prompt import ControlText, Picture, PlainText
from app.engine.client import EngineOutput
from app.engine.process import ProcessEngineClient, ProcessLauncher
from app.engine.protocol import Done, EngineConfig, GenerateJob, PromptProgress, Tokens
from tests.engine.scripted_engine import COMMAND

pytestmark = pytest.mark.anyio


def job(script: str, id: str = "a") -> GenerateJob:
    return GenerateJob(id, (PlainText(script),), SamplingParams())


async def launch(file: str = "good.gguf") -> ProcessEngineClient:
    return await ProcessLauncher(COMMAND).launch(EngineConfig(Path(file)), on_progress=lambda fraction: None)


@asynccontextmanager
async def launched() -> AsyncGenerator[ProcessEngineClient, None]:
    client = await launch()
    try:
        yield client
    finally:
        await client.close()


async def collect(client: ProcessEngineClient, script: str, id: str = "a") -> list[EngineOutput]:
    return [output async for output in client.generate(job(script, id))]


def text_of(outputs: list[EngineOutput]) -> str:
    return " ".join(piece.text for output in outputs if isinstance(output, Tokens) for piece in output.pieces)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_load_tells_progress_and_what_the_model_is() -> None:
    told: list[float] = []
    client = await ProcessLauncher(COMMAND).launch(EngineConfig(Path("good.gguf")), on_progress=told.append)
    assert told == [0.5, 1.0]
    assert client.info.name == "good"
    await client.close()


async def test_an_answer_streams_and_ends_with_done() -> None:
    async with launched() as client:
        outputs = await collect(client, "say one two three")
        assert isinstance(outputs[0], PromptProgress)
        assert text_of(outputs) == "one two three"
        assert isinstance(outputs[-1], Done)
        assert outputs[-1].usage.completion_tokens == 3


async def test_answers_run_side_by_side() -> None:
    async with launched() as client:
        async with aclosing(client.generate(job("forever", "endless"))) as endless:
            await anext(endless)
            answers = await asyncio.gather(*(collect(client, f"say it {index}", f"job {index}") for index in range(8)))
        assert [text_of(answer) for answer in answers] == [f"it {index}" for index in range(8)]


async def test_leaving_an_answer_cancels_it_and_the_engine_goes_on() -> None:
    async with launched() as client:
        async with aclosing(client.generate(job("forever", "left"))) as answer:
            async for output in answer:
                if isinstance(output, Tokens):
                    break
        assert text_of(await collect(client, "say again")) == "again"


async def test_tokenize_detokenize_embed_and_rerank() -> None:
    async with launched() as client:
        assert await client.tokenize((ControlText("ab"),), add_special=True) == (1, 97, 98)
        assert await client.detokenize((97, 98)) == "ab"
        result = await client.embed(("one", (1, 2)))
        assert len(result.vectors) == 2
        assert result.prompt_tokens == 2
        assert (await client.rerank("q", ("ab", "a"))).scores == (0.5, 1.0)


async def test_a_large_picture_crosses_whole() -> None:
    async with launched() as client:
        ids = await client.tokenize((Picture(os.urandom(8_000_000)), PlainText("a")))
        assert ids[-1] == 97


@pytest.mark.parametrize(("script", "kind"), [("invalid", InvalidRequest), ("bug", GenerationFailed), ("busy", EngineBusy)])
async def test_a_job_that_fails_costs_only_itself(script: str, kind: type[Exception]) -> None:
    async with launched() as client:
        with pytest.raises(kind):
            await collect(client, script)
        assert text_of(await collect(client, "say next")) == "next"


async def test_errors_keep_their_data_across_the_pipe() -> None:
    async with launched() as client:
        with pytest.raises(InvalidRequest) as caught:
            await collect(client, "invalid")
        assert caught.value.param == "messages"


async def test_a_crash_fails_every_open_stream_and_tells_how_it_came() -> None:
    client = await launch()
    other = asyncio.ensure_future(collect(client, "forever", "other"))
    answer = client.generate(job("abort"))
    assert isinstance(await anext(answer), PromptProgress)
    assert text_of([await anext(answer)]) == "x"
    with pytest.raises(EngineCrashed) as caught:
        await anext(answer)
    assert caught.value.exit_code == -signal.SIGABRT
    assert any("GGML_ASSERT" in line for line in caught.value.log_tail)
    with pytest.raises(EngineCrashed):
        await other
    await client.wait_closed()
    assert client.crashed
    with pytest.raises(EngineCrashed):
        await collect(client, "say more")
    await client.close()


async def test_a_step_that_raises_ends_the_worker_with_its_traceback() -> None:
    client = await launch()
    with pytest.raises(EngineCrashed) as caught:
        await collect(client, "raise")
    assert caught.value.exit_code == 1
    assert "RuntimeError: the step failed" in caught.value.log_tail
    await client.close()


async def test_a_worker_killed_from_outside_is_noticed_while_idle() -> None:
    client = await launch()
    assert client.pid is not None
    os.kill(client.pid, signal.SIGKILL)
    await client.wait_closed()
    assert client.crashed
    await client.close()


async def test_close_stops_answers_and_ends_the_process() -> None:
    client = await launch()
    assert client.pid is not None
    answer = asyncio.ensure_future(collect(client, "forever"))
    await client.tokenize((PlainText("a"),))
    await client.close()
    with pytest.raises(EngineStopped):
        await answer
    assert not client.crashed
    assert not is_running(client.pid)
    await client.close()


async def test_close_ends_a_worker_that_sits_in_native_code() -> None:
    client = await launch()
    assert client.pid is not None
    async with aclosing(client.generate(job("stuck"))) as answer:
        async for output in answer:
            if isinstance(output, Tokens):
                break
        await client.close()
    assert not is_running(client.pid)


async def test_a_refused_file_tells_the_engines_reason() -> None:
    with pytest.raises(ModelLoadFailed) as caught:
        await launch("bad.gguf")
    assert caught.value.reason == "The file is truncated."
    assert caught.value.log_tail == ("tensor out of bounds",)


@pytest.mark.parametrize(("file", "reason"), [("abort.gguf", "damaged"), ("bug.gguf", "an error in Hearth")])
async def test_a_file_that_kills_the_worker_can_not_be_loaded(file: str, reason: str) -> None:
    with pytest.raises(ModelLoadFailed) as caught:
        await launch(file)
    assert file in str(caught.value)
    assert reason in caught.value.reason
    assert caught.value.log_tail


async def test_cancelling_a_load_ends_its_process(tmp_path: Path) -> None:
    progressed = asyncio.Event()
    pid_file = tmp_path / "stuck.gguf"
    pid_file.touch()
    launch = ProcessLauncher(COMMAND).launch(EngineConfig(pid_file), on_progress=lambda fraction: progressed.set())
    load = asyncio.ensure_future(launch)
    await progressed.wait()
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load
    assert not is_running(int(pid_file.read_text()))


async def test_a_program_that_is_no_worker_can_not_load() -> None:
    with pytest.raises(ModelLoadFailed):
        await ProcessLauncher(("/bin/true",)).launch(EngineConfig(Path("a.gguf")), on_progress=lambda fraction: None)


async def test_a_missing_program_can_not_load() -> None:
    with pytest.raises(ModelLoadFailed, match="can't be started"):
        await ProcessLauncher(("/no/such/program",)).launch(EngineConfig(Path("a.gguf")), on_progress=lambda fraction: None)
