"""Jobs seen from the service loop: order, slow readers, and how they end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from app.domain.errors import EngineStopped, GenerationFailed
from app.domain.generation import FinishReason, SamplingParams, Timings, Usage
from app.domain.prompt import PlainText
from app.engine.jobs import JobClient
from app.engine.protocol import (
    Cancel,
    Command,
    Done,
    Frame,
    GenerateJob,
    JobFailed,
    PromptProgress,
    Tokenized,
    TokenizeJob,
    Tokens,
)
from tests.fakes import model_info, piece

pytestmark = pytest.mark.anyio

JOB = GenerateJob("a", (PlainText("x"),), SamplingParams())
DONE = Done("a", FinishReason.STOP, Usage(1, 3), Timings(0.0, 0.0, 0.0))


class Client(JobClient):
    """A client whose engine is the test."""

    def __init__(self) -> None:
        super().__init__()
        self.posted: list[Command] = []

    def _post(self, command: Command) -> None:
        self.posted.append(command)

    def say(self, *events: object) -> None:
        frame: Frame = events  # type: ignore[assignment]
        self._deliver(frame)

    def end(self, error: Exception) -> None:
        self._fail_all(error)  # type: ignore[arg-type]


async def begun(client: Client) -> asyncio.Task[list[object]]:
    """A reader that waits for its first event."""

    async def read() -> list[object]:
        return [output async for output in client.generate(JOB)]

    task = asyncio.ensure_future(read())
    await asyncio.sleep(0)
    return task


async def test_a_slow_reader_gets_its_tokens_joined_and_only_the_newest_progress() -> None:
    client = Client()
    reader = await begun(client)
    client.say(PromptProgress("a", 1, 2, 0))
    client.say(PromptProgress("a", 2, 2, 0))
    client.say(Tokens("a", (piece("x"),)))
    client.say(Tokens("a", (piece("y"), piece("z"))), DONE)
    assert await reader == [PromptProgress("a", 2, 2, 0), Tokens("a", (piece("x"), piece("y"), piece("z"))), DONE]


async def test_text_comes_before_the_error_that_ended_it() -> None:
    client = Client()
    answer = client.generate(JOB)
    first = asyncio.ensure_future(anext(answer))
    await asyncio.sleep(0)
    client.say(Tokens("a", (piece("x"),)), JobFailed("a", GenerationFailed("no")))
    assert await first == Tokens("a", (piece("x"),))
    with pytest.raises(GenerationFailed):
        await anext(answer)


async def test_leaving_early_sends_a_cancel_and_reading_to_the_end_does_not() -> None:
    client = Client()
    async with aclosing(client.generate(JOB)) as answer:
        first = asyncio.ensure_future(anext(answer))
        await asyncio.sleep(0)
        client.say(Tokens("a", (piece("x"),)))
        await first
    assert client.posted == [JOB, Cancel("a")]
    reader = await begun(client)
    client.say(DONE)
    await reader
    assert client.posted == [JOB, Cancel("a"), JOB]


async def test_events_nobody_waits_for_are_dropped() -> None:
    client = Client()
    client.say(Tokens("gone", (piece("x"),)), Tokenized("gone", (1,)), JobFailed("gone", GenerationFailed("no")))
    reader = await begun(client)
    client.say(DONE)
    assert await reader == [DONE]


async def test_a_cancelled_question_is_cancelled_in_the_engine() -> None:
    client = Client()
    question = asyncio.ensure_future(client.tokenize((PlainText("x"),)))
    await asyncio.sleep(0)
    (sent,) = client.posted
    assert isinstance(sent, TokenizeJob)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    assert client.posted[1:] == [Cancel(sent.id)]
    client.say(Tokenized(sent.id, (1,)))


async def test_the_first_reason_to_end_stays() -> None:
    client = Client()
    reader = await begun(client)
    client.end(EngineStopped("first"))
    client.end(EngineStopped("second"))
    with pytest.raises(EngineStopped, match="first"):
        await reader
    with pytest.raises(EngineStopped, match="first"):
        await client.detokenize((1,))


async def test_it_is_crowded_once_as_many_jobs_run_and_wait_as_the_engine_takes() -> None:
    client = Client()
    client._settle(model_info(most_jobs=1))
    await client._wait_ready()
    assert not client.crowded
    reader = await begun(client)
    assert client.crowded
    client.say(DONE)
    await reader
    assert not client.crowded
