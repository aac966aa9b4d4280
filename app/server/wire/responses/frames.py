"""The stream of POST /v1/responses: events that say what became of the response, its items and their parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.domain.generation import Finished, GenerationEvent, ReasoningDelta, TextDelta, ToolArgumentsDelta
from app.server.answers import Tally
from app.server.errors import Problem
from app.server.wire.reply import PING, encode
from app.server.wire.responses.output import (
    CallOutput,
    MessageOutput,
    OutputItem,
    ReasoningOutput,
    ResponseOutput,
    logprob_bodies,
)
from app.server.wire.responses.reply import ResponseHead, failed_body, finished_body

__all__ = ["CANCELLED", "ResponseFrames"]

CANCELLED = "The response was cancelled."


@dataclass(frozen=True, slots=True)
class _Kind:
    """The names of the events of an item's text and, unless it has none, of the part that the text is in."""

    text: str
    part: str = ""
    index: str = ""


_WORDS = _Kind("response.output_text", "response.content_part", "content_index")
_REASONING = _Kind("response.reasoning_text", "response.content_part", "content_index")
_SUMMARY = _Kind("response.reasoning_summary_text", "response.reasoning_summary_part", "summary_index")
_ARGUMENTS = _Kind("response.function_call_arguments")


@dataclass(frozen=True, slots=True)
class _Open:
    """The item that is being written. `delta` is the beginning of a frame that lets it grow."""

    item: OutputItem
    kind: _Kind
    place: dict[str, Any]
    delta: str

    @classmethod
    def of(cls, item: OutputItem, position: int) -> _Open:
        kind = _kind_of(item)
        place = {"item_id": item.id, "output_index": position, **({kind.index: 0} if kind.index else {})}
        name = f"{kind.text}.delta"
        return cls(item, kind, place, f'event: {name}\ndata: {encode({"type": name, **place})[:-1]},"sequence_number":')


class ResponseFrames:
    """Writes one response. `keep` is given its last body."""

    def __init__(self, head: ResponseHead, output: ResponseOutput, keep: Callable[[dict[str, Any]], None]) -> None:
        self._head = head
        self._output = output
        self._keep = keep
        self._next = 0
        self._open: _Open | None = None

    def opening(self) -> bytes:
        body = self._head.body("in_progress")
        return self._event("response.created", response=body) + self._event("response.in_progress", response=body)

    def event(self, index: int, event: GenerationEvent) -> bytes:
        item = self._output.add(event)
        if isinstance(event, Finished):
            return self._close()
        if item is None:
            return b""
        begun = self._begin(item) if self._open is None or item is not self._open.item else b""
        match event:
            case TextDelta(text, logprobs):
                told = encode(logprob_bodies(logprobs)) if self._output.shown.logprobs else "[]"
                return begun + self._grow(f'{encode(text)},"logprobs":{told}')
            case ReasoningDelta(text=text) | ToolArgumentsDelta(text=text):
                return begun + self._grow(encode(text))
            case _:
                return begun

    def ping(self) -> bytes:
        return PING

    def closing(self, tally: Tally) -> bytes:
        body = finished_body(self._head, self._output, tally)
        self._keep(body)
        return self._event(f"response.{body['status']}", response=body)

    def failed(self, problem: Problem) -> bytes:
        """The error alone, for clients that look for no more, and the response as it ends."""
        body = failed_body(self._head, self._output, problem)
        self._keep(body)
        error = self._event("error", code=problem.code, message=problem.message, param=problem.param)
        return error + self._event("response.failed", response=body)

    def cancelled(self) -> bytes:
        """The end of one that was cancelled, for which OpenAI has a status and no event."""
        self._keep(self._head.body("cancelled", output=self._output.bodies()))
        return self._event("error", code="response_cancelled", message=CANCELLED, param=None)

    def unfinished(self) -> dict[str, Any]:
        """The response as far as it got."""
        return self._head.body("in_progress", output=self._output.bodies(running=True))

    def _begin(self, item: OutputItem) -> bytes:
        closed = self._close()
        begun = self._open = _Open.of(item, len(self._output.items) - 1)
        added = self._event("response.output_item.added", output_index=begun.place["output_index"], item=item.opened())
        return closed + added + self._part(begun, "added", empty=True)

    def _grow(self, delta: str) -> bytes:
        assert self._open is not None
        return f'{self._open.delta}{self._number()},"delta":{delta}}}\n\n'.encode()

    def _close(self) -> bytes:
        """The open item is complete, as far as it got."""
        done, self._open = self._open, None
        if done is None:
            return b""
        text = self._event(f"{done.kind.text}.done", **done.place, **_whole_text(done.item))
        part = self._part(done, "done")
        body = done.item.body(self._output.status(done.item))
        return text + part + self._event("response.output_item.done", output_index=done.place["output_index"], item=body)

    def _part(self, of: _Open, what: str, *, empty: bool = False) -> bytes:
        match of.item:
            case CallOutput():
                return b""
            case MessageOutput() as message:
                part = message.part("", ()) if empty else message.part(message.text, message.logprobs)
            case ReasoningOutput() as reasoning:
                part = reasoning.part("" if empty else reasoning.text)
        return self._event(f"{of.kind.part}.{what}", **of.place, part=part)

    def _event(self, kind: str, /, **told: Any) -> bytes:
        return f"event: {kind}\ndata: {encode({'type': kind, **told, 'sequence_number': self._number()})}\n\n".encode()

    def _number(self) -> int:
        number = self._next
        self._next += 1
        return number


def _kind_of(item: OutputItem) -> _Kind:
    match item:
        case MessageOutput():
            return _WORDS
        case ReasoningOutput(as_summary=True):
            return _SUMMARY
        case ReasoningOutput():
            return _REASONING
        case CallOutput():
            return _ARGUMENTS


def _whole_text(item: OutputItem) -> dict[str, Any]:
    match item:
        case MessageOutput():
            return {"text": item.text, "logprobs": logprob_bodies(item.logprobs)}
        case ReasoningOutput():
            return {"text": item.text}
        case CallOutput():
            return {"name": item.name.name, "arguments": item.arguments}
