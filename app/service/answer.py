"""One answer, from what the engine says to what both front ends show."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Protocol

from app.domain.errors import AppError
from app.domain.generation import (
    Finished,
    FinishReason,
    GenerationEvent,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
)
from app.domain.prompt import Piece
from app.engine.client import EngineOutput
from app.engine.protocol import Done, PromptProgress, Tokens
from app.formats.chat_format import Delta

__all__ = ["AnswerParser", "PlainParser", "answer_events"]


class AnswerParser(Protocol):
    """What is asked of a parser; `app.formats.chat_format.OutputParser` is one. It attaches the log probabilities."""

    def feed(self, piece: Piece) -> tuple[Delta, ...]: ...

    def finish(self) -> tuple[Delta, ...]: ...

    @property
    def called_tools(self) -> bool: ...

    @property
    def reasoning_tokens(self) -> int: ...

    @property
    def wants_stop(self) -> bool: ...


class PlainParser:
    """Everything is text, special tokens included: for completions, where the client brings its own format."""

    called_tools = False
    reasoning_tokens = 0
    wants_stop = False

    def __init__(self) -> None:
        self._waiting: tuple[TokenLogprob, ...] = ()

    def feed(self, piece: Piece) -> tuple[Delta, ...]:
        if piece.logprob is not None:
            self._waiting += (piece.logprob,)
        # A token may end inside a character; its log probability then comes with the character.
        return self._say(piece.text) if piece.text else ()

    def finish(self) -> tuple[Delta, ...]:
        return self._say("") if self._waiting else ()

    def _say(self, text: str) -> tuple[Delta, ...]:
        logprobs, self._waiting = self._waiting, ()
        return (TextDelta(text, logprobs),)


async def answer_events(
    outputs: AsyncGenerator[EngineOutput, None], parser: AnswerParser, *, finish: Callable[[], None]
) -> AsyncGenerator[GenerationEvent, None]:
    """Parse an engine's stream; the last event is `Finished`. Closing it closes `outputs`, which cancels the job.

    `finish` is called, once, where the parser wants no more: it must make the engine end the job with its `Done`.
    """
    finishing = False
    try:
        async with aclosing(outputs):
            async for output in outputs:
                match output:
                    case PromptProgress():
                        yield PrefillProgress(output.done, output.total, output.reused)
                    case Tokens(pieces=pieces):
                        for delta in _joined(delta for piece in pieces for delta in parser.feed(piece)):
                            yield delta
                        if parser.wants_stop and not finishing:
                            finishing = True
                            finish()
                    case Done():
                        for delta in parser.finish():
                            yield delta
                        yield _finished(output, parser)
    except AppError:
        # What was held back is part of what was written.
        for delta in parser.finish():
            yield delta
        raise


def _finished(done: Done, parser: AnswerParser) -> Finished:
    reason = FinishReason.TOOL_CALLS if parser.called_tools and done.reason is FinishReason.STOP else done.reason
    usage = dataclasses.replace(done.usage, reasoning_tokens=parser.reasoning_tokens)
    return Finished(reason, usage, done.timings, stopped_by=done.stopped_by)


def _joined(deltas: Iterable[Delta]) -> Iterator[Delta]:
    """Neighbours of one kind, made one."""
    held: TextDelta | ReasoningDelta | None = None
    for delta in deltas:
        if isinstance(delta, TextDelta | ReasoningDelta):
            if type(delta) is type(held):
                held = type(delta)(held.text + delta.text, held.logprobs + delta.logprobs)
                continue
            if held is not None:
                yield held
            held = delta
            continue
        if held is not None:
            yield held
            held = None
        yield delta
    if held is not None:
        yield held
