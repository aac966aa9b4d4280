"""A streamed answer of POST /v1/messages."""

from __future__ import annotations

from typing import Any

from app.domain.generation import (
    Finished,
    GenerationEvent,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
)
from app.server.answers import Tally
from app.server.error_shape import anthropic_error
from app.server.errors import Problem
from app.server.wire.anthropic.head import OPEN_END, MessageHead, usage_body
from app.server.wire.anthropic.thinking import Display, signature_of
from app.server.wire.reply import encode

__all__ = ["MessageFrames"]

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_THINKING = {"type": "thinking", "thinking": "", "signature": ""}
_TEXT = {"type": "text", "text": ""}


class MessageFrames:
    """The message starts with the first thing that the engine tells: how long the prompt is. One block is open at a time; its
    deltas are put behind a prepared beginning."""

    def __init__(self, head: MessageHead, request_id: str) -> None:
        self._head = head
        self._request_id = request_id
        self._started = False
        self._n_blocks = 0
        self._open: type[TextDelta | ReasoningDelta | ToolCallStarted] | None = None
        self._delta_start = ""
        self._omitted: list[str] = []

    def opening(self) -> bytes:
        return b""

    def event(self, index: int, event: GenerationEvent) -> bytes:
        match event:
            case PrefillProgress():
                return self._start(Usage(event.total, 0, event.reused)).encode()
            case TextDelta(text):
                return self._say(text).encode() if text else b""
            case ReasoningDelta(text):
                return self._think(text).encode() if text else b""
            case ToolCallStarted():
                call = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
                return self._begin(ToolCallStarted, call, "input_json_delta", "partial_json").encode()
            case ToolArgumentsDelta(text=text):
                return self._delta(text).encode() if text else b""
            case Finished():
                return self._end(event).encode()

    def ping(self) -> bytes:
        return _PING

    def closing(self, tally: Tally) -> bytes:
        return _STOP

    def failed(self, problem: Problem) -> bytes:
        return _frame(anthropic_error(problem, self._request_id)).encode()

    def _start(self, usage: Usage) -> str:
        if self._started:
            return ""
        self._started = True
        return _frame({"type": "message_start", "message": self._head.message([], OPEN_END, usage)})

    def _say(self, text: str) -> str:
        opening = "" if self._open is TextDelta else self._begin(TextDelta, _TEXT, "text_delta", "text")
        return opening + self._delta(text)

    def _think(self, text: str) -> str:
        display = self._head.display
        if display is Display.NONE:
            return ""
        opening = "" if self._open is ReasoningDelta else self._begin(ReasoningDelta, _THINKING, "thinking_delta", "thinking")
        if display is Display.OMITTED:
            self._omitted.append(text)
            return opening
        return opening + self._delta(text)

    def _begin(
        self, kind: type[TextDelta | ReasoningDelta | ToolCallStarted], block: dict[str, Any], delta: str, key: str
    ) -> str:
        """Open a block; `delta` and `key` are how its pieces will be written."""
        before = self._start(Usage(0, 0)) + self._close()
        index, self._open = self._n_blocks, kind
        self._delta_start = (
            f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":{index},'
            f'"delta":{{"type":"{delta}","{key}":'
        )
        return before + _frame({"type": "content_block_start", "index": index, "content_block": block})

    def _delta(self, text: str) -> str:
        return f"{self._delta_start}{encode(text)}}}}}\n\n"

    def _close(self) -> str:
        if self._open is None:
            return ""
        kind, self._open = self._open, None
        index, self._n_blocks = self._n_blocks, self._n_blocks + 1
        signed = ""
        if kind is ReasoningDelta:
            thoughts, self._omitted = "".join(self._omitted), []
            signature = {"type": "signature_delta", "signature": signature_of(thoughts, self._head.display)}
            signed = _frame({"type": "content_block_delta", "index": index, "delta": signature})
        return signed + _frame({"type": "content_block_stop", "index": index})

    def _end(self, finished: Finished) -> str:
        before = self._start(finished.usage) + self._close()
        usage = usage_body(finished.usage)
        return before + _frame({"type": "message_delta", "delta": self._head.end(finished), "usage": usage})


def _frame(data: dict[str, Any]) -> str:
    return f"event: {data['type']}\ndata: {encode(data)}\n\n"
