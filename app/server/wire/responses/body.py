"""The body of POST /v1/responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.domain.generation import ChatRequest, JsonObjectFormat, JsonSchemaFormat, OutputFormat
from app.server.wire.base import Items, Part, token_limit
from app.server.wire.output import OutputFields, schema_text
from app.server.wire.reasoning import ReasoningFields, WireReasoning
from app.server.wire.responses.items import InputItems, ItemBody, WireInput
from app.server.wire.responses.messages import messages_of, unread_parts
from app.server.wire.responses.tools import (
    OfferedTools,
    ResponseTool,
    ResponseToolChoice,
    offered_tools,
    response_tool_choice,
)

__all__ = ["ResponseBody", "ResponseRequest", "response_request"]

_Summary = Literal["auto", "concise", "detailed"]
_LOGPROBS = "message.output_text.logprobs"
_SEALED = "reasoning.encrypted_content"


class ResponseReasoning(WireReasoning):
    """Hearth makes no summaries: asked for one, it gives the reasoning itself in the summary's place."""

    summary: _Summary | None = None
    generate_summary: _Summary | None = None

    @property
    def asks_for_summary(self) -> bool:
        return self.summary is not None or self.generate_summary is not None


class TextFormatField(Part):
    type: Literal["text", "json_object", "json_schema"]
    name: str = "response"
    description: str | None = None
    own_schema: Annotated[dict[str, Any] | bool | None, Field(alias="schema")] = None
    strict: bool | None = None


class TextField(Part):
    format: TextFormatField | None = None


class ResponseBody(OutputFields, ReasoningFields):
    """`input` is a text or a list of items. `include` adds to the answer what it names; of what Hearth never has, nothing."""

    input: Annotated[WireInput | None, Field(description="May be left out with a previous_response_id.")] = None
    instructions: str | None = None
    previous_response_id: Annotated[str, Field(max_length=200)] | None = None
    store: Annotated[bool | None, Field(description="Whether the response is kept in memory; true where left out.")] = None
    stream: bool | None = None
    background: Annotated[bool | None, Field(description="Whether it is made also if nobody listens.")] = None
    include: (
        Items[
            Literal[
                "message.output_text.logprobs",
                "reasoning.encrypted_content",
                "message.input_image.image_url",
                "file_search_call.results",
                "web_search_call.results",
                "web_search_call.action.sources",
                "computer_call_output.output.image_url",
                "code_interpreter_call.outputs",
            ]
        ]
        | None
    ) = None
    max_output_tokens: Annotated[int, Field(ge=-1, description="-1 sets no limit.")] | None = None
    max_tool_calls: Annotated[int, Field(ge=0, description="Of hosted tools, of which Hearth has none.")] | None = None
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
            Field(fail_fast=True, max_length=16, description="Told again in the response."),
        ]
        | None
    ) = None
    parallel_tool_calls: bool | None = None
    reasoning: ResponseReasoning | None = None
    text: TextField | None = None
    tools: Annotated[Items[ResponseTool], Field(max_length=128)] | None = None
    tool_choice: ResponseToolChoice | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None

    @property
    def formats(self) -> dict[str, OutputFormat | None]:
        named = self.text.format if self.text is not None else None
        return {"text.format": _text_format(named) if named is not None else None, **super().formats}

    @property
    def keeps(self) -> bool:
        """Raises InvalidRequest for a response in the background that is not to be kept."""
        if self.background and self.store is False:
            raise InvalidRequest("'background' needs 'store': the answer is fetched from there.", param="background")
        return self.store is not False

    @property
    def truncates(self) -> bool:
        return self.truncation == "auto"

    @property
    def wants_logprobs(self) -> bool:
        return _LOGPROBS in (self.include or ()) or bool(self.top_logprobs)

    @property
    def wants_sealed_reasoning(self) -> bool:
        return _SEALED in (self.include or ())

    @property
    def wants_summary(self) -> bool:
        return self.reasoning is not None and self.reasoning.asks_for_summary


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """`ignored` are parts of fields that have no effect, beyond the fields that have none."""

    chat: ChatRequest
    tools: OfferedTools
    ignored: tuple[str, ...]


def response_request(body: ResponseBody, before: Sequence[ItemBody], items: InputItems) -> ResponseRequest:
    """`before` are the items of the responses that this one goes on from, `items` the new ones, with references resolved.

    Raises InvalidRequest and UnsupportedContent.
    """
    if not items and body.previous_response_id is None:
        raise InvalidRequest("Send 'input', or a 'previous_response_id' to go on from.", param="input")
    tools = offered_tools(body.tools or [], body.tool_choice)
    chat = ChatRequest(
        model=body.model,
        messages=messages_of(before, items, body.instructions),
        sampling=body.sampling(),
        max_tokens=token_limit(max_output_tokens=body.max_output_tokens),
        stop=body.stop_strings,
        output=body.output,
        tools=tools.tools,
        tool_choice=response_tool_choice(body.tool_choice, tools.tools),
        # A last message of the assistant is answered here, not gone on with.
        continues=False,
        reasoning=body.reasoning_choice,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        top_logprobs=(body.top_logprobs or 0) if body.wants_logprobs else None,
        cache_key=body.cache_key(),
        keep_alive_s=body.kept_alive_s,
        n_ctx=body.wanted_ctx,
    )
    return ResponseRequest(chat, tools, _ignored(items, tools))


def _ignored(items: InputItems, tools: OfferedTools) -> tuple[str, ...]:
    return (*(f"tools[].{kind}" for kind in tools.left_out), *unread_parts(items))


def _text_format(wanted: TextFormatField) -> OutputFormat | None:
    match wanted.type:
        case "text":
            return None
        case "json_object":
            return JsonObjectFormat()
        case "json_schema":
            place = "text.format.schema"
            if wanted.own_schema is None:
                raise InvalidRequest("A text.format of type json_schema needs 'schema', a JSON Schema.", param=place)
            return JsonSchemaFormat(schema_text(wanted.own_schema, place), wanted.name, strict=bool(wanted.strict), param=place)
