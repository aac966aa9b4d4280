"""What a whole answer of POST /v1/messages and a streamed one share."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from app.domain.generation import Finished, FinishReason, Usage
from app.server.wire.anthropic.body import MessageBody
from app.server.wire.anthropic.thinking import Display, display_of
from app.server.wire.reply import schema_error_field

__all__ = ["OPEN_END", "MessageHead", "usage_body"]

# How an answer ends that has not ended yet.
OPEN_END: dict[str, Any] = {"stop_reason": None, "stop_sequence": None, "stop_details": None}
_REASONS = {FinishReason.STOP: "end_turn", FinishReason.LENGTH: "max_tokens", FinishReason.TOOL_CALLS: "tool_use"}


@dataclass(frozen=True, slots=True)
class MessageHead:
    """What an answer is called, and what of its request decides how it looks. `model` is the name the client used."""

    id: str
    model: str
    max_tokens: int
    display: Display

    @classmethod
    def of(cls, body: MessageBody) -> MessageHead:
        return cls(f"msg_{uuid.uuid4().hex}", body.model, body.max_tokens, display_of(body.thinking))

    def message(self, content: list[dict[str, Any]], end: dict[str, Any], usage: Usage) -> dict[str, Any]:
        named = {"id": self.id, "type": "message", "role": "assistant", "model": self.model}
        return {**named, "content": content, **end, "usage": usage_body(usage)}

    def end(self, finished: Finished) -> dict[str, Any]:
        """Why the answer ended, and as an extension how it fails its schema."""
        reason = _REASONS[finished.reason]
        if finished.stopped_by is not None:
            reason = "stop_sequence"
        elif finished.reason is FinishReason.LENGTH and finished.usage.completion_tokens < self.max_tokens:
            reason = "model_context_window_exceeded"
        told = {"stop_reason": reason, "stop_sequence": finished.stopped_by}
        return {**OPEN_END, **told, **schema_error_field(finished.schema_error)}


def usage_body(usage: Usage) -> dict[str, Any]:
    """What was computed before is told apart. Everything is kept, so nothing is counted as written for later."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
