"""The output of a response: items, gathered from what the model says."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

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
)
from app.server.wire.reply import logprob_entry
from app.server.wire.responses.sealed import sealed
from app.server.wire.responses.tools import ToolName

__all__ = ["CallOutput", "MessageOutput", "OutputItem", "ReasoningOutput", "ResponseOutput", "ShownOutput", "logprob_bodies"]


@dataclass(frozen=True, slots=True)
class ShownOutput:
    """What is shown beside words and calls. `names` maps what the model calls a function to what the client does."""

    logprobs: bool = False
    reasoning: bool = True
    summary: bool = False
    sealed_reasoning: bool = False
    names: Mapping[str, ToolName] = field(default_factory=dict)


@dataclass(slots=True)
class ReasoningOutput:
    """`as_summary`: it stands in the summary's place."""

    as_summary: bool
    with_seal: bool
    pieces: list[str] = field(default_factory=list)
    id: str = field(default_factory=lambda: f"rs_{uuid.uuid4().hex}")

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def part(self, text: str) -> dict[str, Any]:
        return {"type": "summary_text" if self.as_summary else "reasoning_text", "text": text}

    def opened(self) -> dict[str, Any]:
        """The item before anything of it was said."""
        return {"id": self.id, "type": "reasoning", "status": "in_progress", "summary": []}

    def body(self, status: str) -> dict[str, Any]:
        where = "summary" if self.as_summary else "content"
        seal = {"encrypted_content": sealed(self.text)} if self.with_seal else {}
        return {**self.opened(), "status": status, where: [self.part(self.text)], **seal}


@dataclass(slots=True)
class MessageOutput:
    pieces: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def part(self, text: str, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprob_bodies(logprobs)}

    def opened(self) -> dict[str, Any]:
        return {"id": self.id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}

    def body(self, status: str) -> dict[str, Any]:
        return {**self.opened(), "status": status, "content": [self.part(self.text, self.logprobs)]}


@dataclass(slots=True)
class CallOutput:
    index: int
    call_id: str
    name: ToolName
    pieces: list[str] = field(default_factory=list)
    id: str = field(default_factory=lambda: f"fc_{uuid.uuid4().hex}")

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    def opened(self) -> dict[str, Any]:
        return self._body("in_progress", "")

    def body(self, status: str) -> dict[str, Any]:
        return self._body(status, self.arguments)

    def _body(self, status: str, arguments: str) -> dict[str, Any]:
        namespace = {"namespace": self.name.namespace} if self.name.namespace is not None else {}
        call = {"call_id": self.call_id, "name": self.name.name, **namespace, "arguments": arguments}
        return {"id": self.id, "type": "function_call", "status": status, **call}


OutputItem: TypeAlias = ReasoningOutput | MessageOutput | CallOutput
_Item = TypeVar("_Item", ReasoningOutput, MessageOutput, CallOutput)


class ResponseOutput:
    """One answer's items, in the order in which the model wrote them."""

    def __init__(self, shown: ShownOutput) -> None:
        self.items: list[OutputItem] = []
        self.schema_error: str | None = None
        self.shown = shown
        self._reason: FinishReason | None = None

    def add(self, event: GenerationEvent) -> OutputItem | None:
        """The item that has grown, a new one perhaps."""
        match event:
            case TextDelta(text, logprobs):
                told = logprobs if self.shown.logprobs else ()
                return self._said(text, told) if text or told else None
            case ReasoningDelta(text):
                return self._thought(text) if text and self.shown.reasoning else None
            case ToolCallStarted():
                name = self.shown.names.get(event.name, ToolName(event.name))
                return self._began(CallOutput(event.index, event.id, name))
            case ToolArgumentsDelta():
                call = next(item for item in self.items if isinstance(item, CallOutput) and item.index == event.index)
                call.pieces.append(event.text)
                return call
            case Finished():
                self._reason, self.schema_error = event.reason, event.schema_error
                return None
            case PrefillProgress():
                return None

    @property
    def cut(self) -> bool:
        """Whether the answer was ended before the model ended it."""
        return self._reason is FinishReason.LENGTH

    def bodies(self, *, running: bool = False) -> list[dict[str, Any]]:
        """`running`: there is more to come."""
        return [item.body(self.status(item, running=running)) for item in self.items]

    def status(self, item: OutputItem, *, running: bool = False) -> str:
        whole = self._reason is not None and not self.cut
        if whole or item is not self.items[-1]:
            return "completed"
        return "in_progress" if running and self._reason is None else "incomplete"

    def _said(self, text: str, logprobs: Sequence[TokenLogprob]) -> MessageOutput:
        last = self.items[-1] if self.items else None
        message = last if isinstance(last, MessageOutput) else self._began(MessageOutput())
        message.pieces.append(text)
        message.logprobs.extend(logprobs)
        return message

    def _thought(self, text: str) -> ReasoningOutput:
        last = self.items[-1] if self.items else None
        if isinstance(last, ReasoningOutput):
            thought = last
        else:
            thought = self._began(ReasoningOutput(self.shown.summary, self.shown.sealed_reasoning))
        thought.pieces.append(text)
        return thought

    def _began(self, item: _Item) -> _Item:
        self.items.append(item)
        return item


def logprob_bodies(logprobs: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    return [{**logprob_entry(token), "top_logprobs": [logprob_entry(other) for other in token.top]} for token in logprobs]
