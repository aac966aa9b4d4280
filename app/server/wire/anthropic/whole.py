"""A whole answer of POST /v1/messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from app.domain.generation import (
    Finished,
    GenerationEvent,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from app.server.wire.anthropic.head import MessageHead
from app.server.wire.anthropic.thinking import Display, signature_of

__all__ = ["WholeMessage"]


@dataclass(frozen=True, slots=True)
class _Block:
    """`opened_by` is the first event of it."""

    opened_by: TextDelta | ReasoningDelta | ToolCallStarted
    pieces: list[str] = field(default_factory=list)


class WholeMessage:
    """An answer, gathered until it has finished: blocks in the order in which the model wrote them."""

    def __init__(self, head: MessageHead) -> None:
        self._head = head
        self._blocks: list[_Block] = []
        self._calls: dict[int, _Block] = {}
        self._finished: Finished | None = None

    def add(self, event: GenerationEvent) -> None:
        match event:
            case TextDelta():
                self._say(event)
            case ReasoningDelta():
                if self._head.display is not Display.NONE:
                    self._say(event)
            case ToolCallStarted():
                self._calls[event.index] = _Block(event)
                self._blocks.append(self._calls[event.index])
            case ToolArgumentsDelta():
                self._calls[event.index].pieces.append(event.text)
            case Finished():
                self._finished = event
            case PrefillProgress():
                pass

    def body(self) -> dict[str, Any]:
        """The answer must have finished."""
        finished = self._finished
        assert finished is not None
        content = [self._content(block.opened_by, "".join(block.pieces)) for block in self._blocks]
        return self._head.message(content, self._head.end(finished), finished.usage)

    def _say(self, event: TextDelta | ReasoningDelta) -> None:
        if not event.text:
            return
        if not self._blocks or type(self._blocks[-1].opened_by) is not type(event):
            self._blocks.append(_Block(event))
        self._blocks[-1].pieces.append(event.text)

    def _content(self, opened_by: TextDelta | ReasoningDelta | ToolCallStarted, text: str) -> dict[str, Any]:
        match opened_by:
            case TextDelta():
                return {"type": "text", "text": text}
            case ReasoningDelta():
                display = self._head.display
                thoughts = text if display is Display.SHOWN else ""
                return {"type": "thinking", "thinking": thoughts, "signature": signature_of(text, display)}
            case ToolCallStarted(id=call_id, name=name):
                return {"type": "tool_use", "id": call_id, "name": name, "input": _input(text)}


def _input(arguments: str) -> dict[str, Any]:
    """A call's arguments; of a call that was cut, those that are whole. What is no JSON gets Anthropic's name for that."""
    try:
        value = from_json(arguments or "{}", allow_partial=True)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}
