from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from app.domain.errors import GenerationFailed
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
from app.domain.messages import ToolCall
from app.server.answers import Answer, Tally, collect, merged

pytestmark = pytest.mark.anyio


def finished(prompt: int = 10, completion: int = 2, *, seconds: float = 0.5, cached: int = 0) -> Finished:
    return Finished(FinishReason.STOP, Usage(prompt, completion, cached, 1), Timings(0.0, 0.1, seconds))


class Script:
    """A source of events that notes whether it was closed before its end."""

    def __init__(self, *events: GenerationEvent | Exception, gate: asyncio.Event | None = None) -> None:
        self.events = events
        self.gate = gate
        self.left_early = False

    async def __call__(self) -> AsyncGenerator[GenerationEvent, None]:
        ended = False
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
            if self.gate is not None:
                await self.gate.wait()
            ended = True
        finally:
            self.left_early = not ended


def sources(*scripts: Script) -> list[Callable[[], AsyncGenerator[GenerationEvent, None]]]:
    return [script.__call__ for script in scripts]


async def test_all_choices_are_gathered_under_their_own_index() -> None:
    tally = Tally(per_prompt=2)
    scripts = sources(Script(TextDelta("a"), TextDelta("b"), finished()), Script(TextDelta("c"), finished()))
    answers = await collect(scripts, tally)
    assert [answer.text for answer in answers] == [["a", "b"], ["c"]]


async def test_more_choices_than_run_at_once_are_all_answered() -> None:
    scripts = sources(*(Script(TextDelta(str(number)), finished()) for number in range(40)))
    answers = await collect(scripts, Tally())
    assert ["".join(answer.text) for answer in answers] == [str(number) for number in range(40)]


async def test_choices_run_side_by_side() -> None:
    gate = asyncio.Event()

    async def opens() -> AsyncGenerator[GenerationEvent, None]:
        gate.set()
        yield finished()

    answers = await collect([Script(TextDelta("waited"), gate=gate).__call__, opens], Tally())
    assert answers[0].text == ["waited"]


@pytest.mark.parametrize("others", [0, 2])
async def test_closing_closes_every_choice(others: int) -> None:
    scripts = [Script(TextDelta("a"), gate=asyncio.Event()) for _ in range(1 + others)]
    tasks = asyncio.all_tasks()
    events = merged(sources(*scripts))
    await anext(events)
    await events.aclose()
    assert scripts[0].left_early
    assert asyncio.all_tasks() == tasks


async def test_the_failure_of_one_choice_ends_the_others() -> None:
    held = Script(TextDelta("a"), gate=asyncio.Event())
    with pytest.raises(GenerationFailed):
        await collect(sources(held, Script(TextDelta("b"), GenerationFailed("decode failed"))), Tally())
    assert held.left_early


async def test_a_prompt_shared_by_choices_is_counted_once() -> None:
    tally = Tally(per_prompt=2)
    for index in range(4):
        tally.add(index, finished(10 + index, 3, cached=index))
    assert tally.usage == Usage(prompt_tokens=10 + 12, completion_tokens=12, cached_tokens=0 + 2, reasoning_tokens=4)
    assert tally.finished == 2


async def test_speed_is_that_of_the_slowest_choice() -> None:
    tally = Tally()
    tally.add(0, finished(seconds=0.5))
    tally.add(1, finished(seconds=2.0))
    assert tally.generation_s == 2.0


async def test_tool_calls_are_put_together_by_their_index() -> None:
    answer = Answer()
    for event in (
        PrefillProgress(1, 1, 0),
        ReasoningDelta("hm"),
        ToolCallStarted(0, "call_a", "add"),
        ToolArgumentsDelta(0, '{"x"'),
        ToolCallStarted(1, "call_b", "sub"),
        ToolArgumentsDelta(0, ":1}"),
        ToolArgumentsDelta(1, "{}"),
    ):
        answer.add(event)
    assert answer.tool_calls == (ToolCall("call_a", "add", '{"x":1}'), ToolCall("call_b", "sub", "{}"))
    assert answer.reasoning == ["hm"]


async def test_answers_are_compared_per_token() -> None:
    short, long = Answer(), Answer()
    short.add(TextDelta("a", (TokenLogprob(1, "a", b"a", -1.0),)))
    long.add(TextDelta("bc", (TokenLogprob(2, "b", b"b", -0.6), TokenLogprob(3, "c", b"c", -0.6))))
    assert long.mean_logprob > short.mean_logprob > Answer().mean_logprob
