"""An answer whose end says whether it conforms to its schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from app.domain.generation import Finished, FinishReason, GenerationEvent, TextDelta
from app.formats.answer_check import AnswerCheck

__all__ = ["checked_events"]


async def checked_events(
    events: AsyncGenerator[GenerationEvent, None], check: AnswerCheck | None
) -> AsyncGenerator[GenerationEvent, None]:
    """`events`, the last one with its `schema_error`. An answer that was cut, or that is a call, is not looked at."""
    text: list[str] = []
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta() if check is not None:
                    text.append(event.text)
                    yield event
                case Finished(reason=FinishReason.STOP) if check is not None:
                    problem = await asyncio.to_thread(check.problem_of, "".join(text))
                    yield replace(event, schema_error=problem)
                case _:
                    yield event
