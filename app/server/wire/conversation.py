"""What is said to a model beside the messages themselves, in every endpoint that puts a chat template to use."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, JsonValue

from app.domain.errors import InvalidRequest
from app.server.wire.base import Items
from app.server.wire.messages import WireMessage, domain_messages
from app.server.wire.reasoning import ReasoningFields
from app.server.wire.tools import WireTool, domain_tools

__all__ = ["ConversationFields", "conversation"]

# What Hearth itself gives to the template.
_RESERVED_ARGS = frozenset({"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"})


class ConversationFields(ReasoningFields):
    """`add_generation_prompt` and `continue_final_message` are vLLM's."""

    tools: Annotated[Items[WireTool], Field(max_length=128)] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, JsonValue] | None = None


def conversation(body: ConversationFields, messages: list[WireMessage]) -> dict[str, Any]:
    """Fields of a `ChatRequest`. Raises InvalidRequest and UnsupportedContent."""
    return {
        "messages": domain_messages(messages),
        "tools": domain_tools(body.tools or []),
        "continues": _continues(body, messages),
        "reasoning": body.reasoning_choice,
        "template_args": _template_args(body),
    }


def _continues(body: ConversationFields, messages: list[WireMessage]) -> bool:
    """Whether a last message of the assistant is gone on with."""
    if body.add_generation_prompt and body.continue_final_message:
        raise InvalidRequest(
            "'add_generation_prompt' and 'continue_final_message' exclude one another.", param="continue_final_message"
        )
    if body.continue_final_message and messages[-1].role != "assistant":
        raise InvalidRequest("'continue_final_message' needs a last message of the assistant.", param="continue_final_message")
    return not body.add_generation_prompt and body.continue_final_message is not False


def _template_args(body: ConversationFields) -> dict[str, JsonValue]:
    args: dict[str, JsonValue] = {}
    for name, value in (body.chat_template_kwargs or {}).items():
        if name in _RESERVED_ARGS:
            raise InvalidRequest(f"'{name}' can't be set here; Hearth sets it.", param=f"chat_template_kwargs.{name}")
        args[name] = value
    return args
