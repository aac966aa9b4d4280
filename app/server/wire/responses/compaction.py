"""POST /v1/responses/compact: a conversation made short by the model that led it."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import Any

from app.domain.errors import GenerationFailed
from app.domain.generation import AutoToolChoice, ChatRequest, Effort, ReasoningChoice, SamplingChoice, TextFormat
from app.domain.messages import Message, Role
from app.server.answers import Tally
from app.server.wire.responses.output import MessageOutput, ResponseOutput
from app.server.wire.responses.reply import response_usage
from app.server.wire.responses.sealed import sealed

__all__ = ["COMPACTION_TASK", "compaction_body", "compaction_request"]

_MOST_TOKENS = 1_024
_CUT = "\n\n[This account was cut off here: it had become too long.]"
COMPACTION_TASK = Message.of(
    Role.USER,
    "Write down, as short as you can, what this conversation has come to, for someone who goes on with it and has not read "
    "it: what was asked for, found out and decided, what has been done and what is left to do, with names, numbers and "
    "paths as they are. Write nothing else.",
)


def compaction_request(chat: ChatRequest) -> ChatRequest:
    """The same conversation, free of what its answers were to be like. The task is to be said after it."""
    return replace(
        chat,
        sampling=SamplingChoice(),
        stop=(),
        max_tokens=min(chat.max_tokens or _MOST_TOKENS, _MOST_TOKENS),
        output=TextFormat(),
        tools=(),
        tool_choice=AutoToolChoice.NONE,
        reasoning=ReasoningChoice(Effort.NONE),
        top_logprobs=None,
    )


def compaction_body(output: ResponseOutput, tally: Tally) -> dict[str, Any]:
    """A text that was cut says so to who reads it. Raises GenerationFailed where there is none: it would replace everything."""
    text = "".join(item.text for item in output.items if isinstance(item, MessageOutput)).strip()
    if not text:
        raise GenerationFailed("The model wrote nothing of what the conversation came to. Go on with the conversation itself.")
    item = {
        "id": f"cmp_{uuid.uuid4().hex}",
        "type": "compaction",
        "encrypted_content": sealed(f"{text}{_CUT}" if output.cut else text),
    }
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": [item],
        "usage": response_usage(tally.usage),
    }
