from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from app.domain.generation import Finished, FinishReason, GenerationEvent, ReasoningDelta, TextDelta, Timings, Usage
from app.formats.answer_check import AnswerCheck
from app.service.checked_answer import checked_events

CHECK = AnswerCheck('{"not": {"const": [1, 2]}}', "response_format")


async def said(
    *texts: str, reason: FinishReason = FinishReason.STOP, check: AnswerCheck | None = CHECK
) -> list[GenerationEvent]:
    async def events() -> AsyncGenerator[GenerationEvent, None]:
        yield ReasoningDelta("[1, 2]")
        for text in texts:
            yield TextDelta(text)
        yield Finished(reason, Usage(1, 1), Timings(0, 0, 0))

    return [event async for event in checked_events(events(), check)]


def error(events: list[GenerationEvent]) -> str | None:
    last = events[-1]
    assert isinstance(last, Finished)
    return last.schema_error


@pytest.mark.anyio
async def test_the_end_says_what_the_answer_fails_and_nothing_of_it_is_lost() -> None:
    events = await said("[1, ", "2]")
    assert "'/not'" in (error(events) or "")
    assert events[1:3] == [TextDelta("[1, "), TextDelta("2]")]
    assert error(await said("[1, ", "3]")) is None


@pytest.mark.anyio
async def test_an_answer_that_was_cut_or_is_a_call_is_not_looked_at() -> None:
    for reason in (FinishReason.LENGTH, FinishReason.TOOL_CALLS):
        assert error(await said("[1, ", reason=reason)) is None
    assert error(await said("[1, 2]", check=None)) is None
