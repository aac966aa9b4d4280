"""Running the generations of one request, and gathering what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeAlias

from app.domain.generation import (
    Finished,
    FinishReason,
    GenerationEvent,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)
from app.domain.messages import ToolCall

__all__ = ["Answer", "IndexedEvent", "Source", "Tally", "collect", "merged"]

Source: TypeAlias = Callable[[], AsyncGenerator[GenerationEvent, None]]
IndexedEvent: TypeAlias = tuple[int, GenerationEvent]

# Choices of one request that run at the same time; further ones wait their turn here and not in the engine's queue.
_AT_ONCE = 8


async def merged(sources: Sequence[Source]) -> AsyncGenerator[IndexedEvent, None]:
    """The events of all choices as they come, each with its choice's index. Closing it cancels them all.

    The first failure of a choice is raised here.
    """
    if len(sources) == 1:
        async with aclosing(sources[0]()) as events:
            async for event in events:
                yield 0, event
        return
    queue: asyncio.Queue[IndexedEvent | asyncio.Task[None]] = asyncio.Queue()
    gate = asyncio.Semaphore(_AT_ONCE)
    tasks = [asyncio.create_task(_pump(index, source, queue, gate)) for index, source in enumerate(sources)]
    for task in tasks:
        task.add_done_callback(queue.put_nowait)
    try:
        running = len(tasks)
        while running:
            item = await queue.get()
            if isinstance(item, asyncio.Task):
                item.result()
                running -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(
    index: int, source: Source, queue: asyncio.Queue[IndexedEvent | asyncio.Task[None]], gate: asyncio.Semaphore
) -> None:
    async with gate, aclosing(source()) as events:
        async for event in events:
            queue.put_nowait((index, event))


class Tally:
    """Adds up the token counts of a request's choices. `per_prompt` choices share one prompt, which is counted once.

    `first` is the end of the choice that finished first.
    """

    def __init__(self, per_prompt: int = 1) -> None:
        self.generation_s = 0.0
        self.first: Finished | None = None
        self._per_prompt = per_prompt
        self._prompts: dict[int, Usage] = {}
        self._completion_tokens = 0
        self._reasoning_tokens = 0

    def add(self, index: int, finished: Finished) -> None:
        self.first = self.first or finished
        self.generation_s = max(self.generation_s, finished.timings.generation_s)
        self._prompts.setdefault(index // self._per_prompt, finished.usage)
        self._completion_tokens += finished.usage.completion_tokens
        self._reasoning_tokens += finished.usage.reasoning_tokens

    @property
    def finished(self) -> int:
        """How many prompts have at least one finished choice."""
        return len(self._prompts)

    @property
    def usage(self) -> Usage:
        """Of the choices that have finished."""
        return Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in self._prompts.values()),
            completion_tokens=self._completion_tokens,
            cached_tokens=sum(usage.cached_tokens for usage in self._prompts.values()),
            reasoning_tokens=self._reasoning_tokens,
        )


@dataclass(slots=True)
class Answer:
    """One choice, gathered until it has finished."""

    reasoning: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    calls: list[tuple[ToolCallStarted, list[str]]] = field(default_factory=list)
    reason: FinishReason = FinishReason.STOP
    schema_error: str | None = None

    def add(self, event: GenerationEvent) -> None:
        match event:
            case TextDelta():
                self.text.append(event.text)
                self.logprobs.extend(event.logprobs)
            case ReasoningDelta():
                self.reasoning.append(event.text)
            case ToolCallStarted():
                self.calls.append((event, []))
            case ToolArgumentsDelta():
                next(pieces for call, pieces in self.calls if call.index == event.index).append(event.text)
            case Finished():
                self.reason = event.reason
                self.schema_error = event.schema_error
            case PrefillProgress():
                pass

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(call.id, call.name, "".join(pieces)) for call, pieces in self.calls)

    @property
    def mean_logprob(self) -> float:
        """How likely the model found the answer, per token: what `best_of` compares."""
        return sum(token.logprob for token in self.logprobs) / len(self.logprobs) if self.logprobs else float("-inf")


async def collect(sources: Sequence[Source], tally: Tally) -> list[Answer]:
    """All choices, whole."""
    answers = [Answer() for _ in sources]
    async with aclosing(merged(sources)) as events:
        async for index, event in events:
            answers[index].add(event)
            if isinstance(event, Finished):
                tally.add(index, event)
    return answers
