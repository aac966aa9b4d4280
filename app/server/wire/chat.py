"""The body of POST /v1/chat/completions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.domain.generation import ChatRequest
from app.server.wire.base import Items, StreamOptions, token_limit
from app.server.wire.conversation import ConversationFields, conversation
from app.server.wire.messages import WireMessage
from app.server.wire.output import OutputFields
from app.server.wire.tools import WireToolChoice, domain_tool_choice

__all__ = ["ChatBody", "chat_requests"]


class ChatBody(OutputFields, ConversationFields):
    messages: Annotated[Items[WireMessage], Field(min_length=1, max_length=10_000)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    return_progress: (
        Annotated[bool, Field(description="Have chunks with `prompt_progress` while the prompt is read.")] | None
    ) = None
    max_tokens: Annotated[int, Field(ge=-1, description="Outdated spelling of max_completion_tokens.")] | None = None
    max_completion_tokens: Annotated[int, Field(ge=-1, description="-1 sets no limit.")] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tool_choice: WireToolChoice | None = None
    parallel_tool_calls: bool | None = None

    @property
    def n_choices(self) -> int:
        return self.n or 1

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)


def chat_requests(body: ChatBody) -> tuple[ChatRequest, ...]:
    """One request per choice; they differ in their seeds alone. Raises InvalidRequest and UnsupportedContent."""
    told = conversation(body, body.messages)
    shared: dict[str, Any] = {
        **told,
        "model": body.model,
        "max_tokens": token_limit(max_tokens=body.max_tokens, max_completion_tokens=body.max_completion_tokens),
        "stop": body.stop_strings,
        "output": body.output,
        "tool_choice": domain_tool_choice(body.tool_choice, told["tools"]),
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "top_logprobs": _top_logprobs(body),
        "keep_alive_s": body.kept_alive_s,
        "n_ctx": body.wanted_ctx,
    }
    return tuple(
        ChatRequest(sampling=body.sampling(index), cache_key=body.cache_key(index), **shared) for index in range(body.n_choices)
    )


def _top_logprobs(body: ChatBody) -> int | None:
    if body.logprobs:
        return body.top_logprobs or 0
    if body.top_logprobs:
        raise InvalidRequest("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    return None
