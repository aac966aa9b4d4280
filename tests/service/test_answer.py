"""What becomes of pieces: joined deltas, and log probabilities in the right place."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from app.domain.errors import EngineBusy, EngineCrashed
from app.domain.generation import Finished, FinishReason, ReasoningDelta, TextDelta, Timings, Usage
from app.domain.prompt import Piece
from app.engine.client import EngineOutput
from app.engine.protocol import Done, Tokens
from app.formats.chat_format import Delta
from app.service.answer import PlainParser, answer_events
from tests.fakes import FakeOutputParser, piece

pytestmark = pytest.mark.anyio

DONE = Done("a", FinishReason.STOP, Usage(1, 2), Timings(0.0, 0.0, 0.0))


async def outputs(*steps: tuple[Piece, ...]) -> AsyncGenerator[EngineOutput, None]:
    for step in steps:
        yield Tokens("a", step)
    yield DONE


def _never() -> None:
    raise AssertionError("Nothing asks for the answer's end.")


class HoldingParser(PlainParser):
    """Holds text back until the end, as a parser does that waits for the rest of a marker."""

    def __init__(self) -> None:
        super().__init__()
        self._held = ""

    def feed(self, piece: Piece) -> tuple[Delta, ...]:
        self._held += piece.text
        return ()

    def finish(self) -> tuple[Delta, ...]:
        return (TextDelta(self._held),) if self._held else ()


async def test_pieces_that_arrive_together_become_one_delta_of_each_kind() -> None:
    step = (piece("<think>", control=True), piece("a"), piece("b"), piece("</think>", control=True), piece("c"), piece("d"))
    events = [event async for event in answer_events(outputs(step), FakeOutputParser(), finish=_never)]
    assert events[:-1] == [ReasoningDelta("ab"), TextDelta("cd")]
    assert isinstance(events[-1], Finished)


async def test_the_stop_string_that_ended_an_answer_is_told() -> None:
    async def stopped() -> AsyncGenerator[EngineOutput, None]:
        yield replace(DONE, stopped_by="END")

    (finished,) = [event async for event in answer_events(stopped(), PlainParser(), finish=_never)]
    assert isinstance(finished, Finished)
    assert finished.stopped_by == "END"


async def test_log_probabilities_stay_with_their_text_when_deltas_are_joined() -> None:
    one, two = piece("a", logprob=-0.5), piece("b", logprob=-1.0)
    for parser in (FakeOutputParser(), PlainParser()):
        events = [event async for event in answer_events(outputs((one, two)), parser, finish=_never)]
        assert events[:-1] == [TextDelta("ab", (one.logprob, two.logprob))]


async def test_log_probabilities_of_a_character_that_never_ends_are_not_lost() -> None:
    last = piece("", logprob=-0.5)
    events = [event async for event in answer_events(outputs((piece("a"),), (last,)), PlainParser(), finish=_never)]
    assert events[:-1] == [TextDelta("a"), TextDelta("", (last.logprob,))]


async def test_log_probabilities_of_incomplete_characters_come_with_the_character() -> None:
    first, last = piece("", logprob=-0.5), piece("é", logprob=-0.1)
    events = [event async for event in answer_events(outputs((first,), (last,)), PlainParser(), finish=_never)]
    assert events[0] == TextDelta("é", (first.logprob, last.logprob))


async def test_text_held_back_comes_before_the_error_that_ends_the_answer() -> None:
    async def broken() -> AsyncGenerator[EngineOutput, None]:
        yield Tokens("a", (piece("<thi"),))
        raise EngineCrashed(exit_code=-9)

    events = answer_events(broken(), HoldingParser(), finish=_never)
    assert await anext(events) == TextDelta("<thi")
    with pytest.raises(EngineCrashed):
        await anext(events)


async def test_an_error_before_any_text_is_all_there_is() -> None:
    async def refused() -> AsyncGenerator[EngineOutput, None]:
        raise EngineBusy
        yield DONE

    with pytest.raises(EngineBusy):
        await anext(answer_events(refused(), HoldingParser(), finish=_never))


async def test_closing_early_closes_the_engines_stream() -> None:
    closed: list[bool] = []

    async def endless() -> AsyncGenerator[EngineOutput, None]:
        try:
            while True:
                yield Tokens("a", (piece("x"),))
        finally:
            closed.append(True)

    events = answer_events(endless(), PlainParser(), finish=_never)
    await anext(events)
    await events.aclose()
    assert closed == [True]
