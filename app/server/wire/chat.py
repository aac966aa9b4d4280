"""The body of POST /v1/chat/completions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, JsonValue

from app.domain.errors import InvalidRequest
from app.domain.generation import ChatRequest
from app.server.wire.base import StreamOptions, token_limit
from app.server.wire.messages import WireMessage, domain_messages
from app.server.wire.output import OutputFields
from app.server.wire.reasoning import ReasoningFields
from app.server.wire.tools import (
    WireTool,
    WireToolChoice,
    domain_tool_choice,
    domain_tools,
)

__all__ = ["ChatBody", "chat_requests"]

# What Hearth itself gives to the template.
_RESERVED_ARGS = frozenset({"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"})


class ChatBody(OutputFields, ReasoningFields):
    messages: Annotated[list[WireMessage], Field(min_length=1, max_length=10_000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=-1, description="Outdated spelling of max_completion_tokens.")] | None = None
    max_completion_tokens: Annotated[int, Field(ge=-1, description="-1 sets no limit.")] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Annotated[list[WireTool], Field(max_length=128)] | None = None
    tool_choice: WireToolChoice | None = None
    parallel_tool_calls: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, JsonValue] | None = None

    @property
    def n_choices(self) -> int:
        return self.n or 1

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def chat_requests(body: ChatBody) -> tuple[ChatRequest, ...]:
    """One request per choice; they differ in their seeds alone. Raises InvalidRequest and UnsupportedContent."""
    tools = domain_tools(body.tools or [])
    choice = domain_tool_choice(body.tool_choice, tools)
    shared: dict[str, Any] = {
        "model": body.model,
        "messages": domain_messages(body.messages),
        "max_tokens": token_limit(max_tokens=body.max_tokens, max_completion_tokens=body.max_completion_tokens),
        "stop": body.stop_strings,
        "output": body.output,
        "tools": tools,
        "tool_choice": choice,
        "continues": _continues(body),
        "reasoning": body.reasoning_choice,
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "top_logprobs": _top_logprobs(body),
        "template_args": _template_args(body),
        "keep_alive_s": body.kept_alive_s,
    }
    return tuple(
        ChatRequest(sampling=body.sampling(index), cache_key=body.cache_key(index), **shared) for index in range(body.n_choices)
    )


def _continues(body: ChatBody) -> bool:
    """Whether a last message of the assistant is gone on with, under the names that vLLM gave."""
    if body.add_generation_prompt and body.continue_final_message:
        raise InvalidRequest(
            "'add_generation_prompt' and 'continue_final_message' exclude one another.", param="continue_final_message"
        )
    if body.continue_final_message and body.messages[-1].role != "assistant":
        raise InvalidRequest("'continue_final_message' needs a last message of the assistant.", param="continue_final_message")
    return not body.add_generation_prompt and body.continue_final_message is not False


def _top_logprobs(body: ChatBody) -> int | None:
    if body.logprobs:
        return body.top_logprobs or 0
    if body.top_logprobs:
        raise InvalidRequest("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    return None


def _template_args(body: ChatBody) -> dict[str, JsonValue]:
    args: dict[str, JsonValue] = {}
    for name, value in (body.chat_template_kwargs or {}).items():
        if name in _RESERVED_ARGS:
            raise InvalidRequest(f"'{name}' can't be set here; Hearth sets it.", param=f"chat_template_kwargs.{name}")
        args[name] = value
    return args
