"""The bodies of POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.domain.generation import ChatRequest, JsonSchemaFormat, OutputFormat, TextFormat
from app.server.wire.anthropic.blocks import AnthropicMessage, System, domain_messages
from app.server.wire.anthropic.thinking import EnabledThinking, WireEffort, WireThinking, reasoning_choice
from app.server.wire.anthropic.tools import AnthropicTool, WireToolChoice, domain_tool_choice, domain_tools, runs_parallel
from app.server.wire.base import Items, LoadingFields, Part, SamplingFields
from app.server.wire.output import schema_text

__all__ = ["CountBody", "MessageBody", "message_request", "prompt_request"]


class JsonOutput(Part):
    type: Literal["json_schema"]
    json_schema: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(Part):
    effort: WireEffort | None = None
    format: JsonOutput | None = None


class CountBody(LoadingFields):
    """What the prompt is made of. `output_format` is the outdated spelling of `output_config.format`."""

    messages: Annotated[Items[AnthropicMessage], Field(min_length=1, max_length=10_000)]
    system: System | None = None
    tools: Annotated[Items[AnthropicTool], Field(max_length=512)] | None = None
    tool_choice: WireToolChoice | None = None
    thinking: WireThinking | None = None
    output_config: OutputConfig | None = None
    output_format: JsonOutput | None = None

    @property
    def output(self) -> OutputFormat:
        """What can't be enforced of a schema is refused: the answer is promised to conform."""
        configured = self.output_config.format if self.output_config is not None else None
        if configured is not None and self.output_format is not None:
            raise InvalidRequest("'output_config.format' and 'output_format' are the same. Give one.", param="output_format")
        for wanted, param in ((configured, "output_config.format.schema"), (self.output_format, "output_format.schema")):
            if wanted is not None:
                return JsonSchemaFormat(schema_text(wanted.json_schema, param), strict=True, param=param)
        return TextFormat()


class MessageBody(SamplingFields, CountBody):
    """All of Hearth's samplers can be asked for here, too."""

    max_tokens: Annotated[int, Field(ge=0, description="0 only reads the prompt, so that it is remembered.")]
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    stop_sequences: Annotated[Items[str], Field(max_length=16)] | None = None
    stream: bool | None = None

    @property
    def stop_strings(self) -> tuple[str, ...]:
        return (*(text for text in self.stop_sequences or () if text), *super().stop_strings)


def prompt_request(body: CountBody) -> ChatRequest:
    """What the model is to read. Raises InvalidRequest and UnsupportedContent."""
    tools = domain_tools(body.tools or [])
    effort = body.output_config.effort if body.output_config is not None else None
    return ChatRequest(
        model=body.model,
        messages=domain_messages(body.system, body.messages),
        output=body.output,
        tools=tools,
        tool_choice=domain_tool_choice(body.tool_choice, tools),
        parallel_tool_calls=runs_parallel(body.tool_choice),
        reasoning=reasoning_choice(body.thinking, effort),
        keep_alive_s=body.kept_alive_s,
        n_ctx=body.wanted_ctx,
    )


def message_request(body: MessageBody) -> ChatRequest:
    """Raises InvalidRequest and UnsupportedContent."""
    if isinstance(body.thinking, EnabledThinking) and 0 < body.max_tokens <= body.thinking.budget_tokens:
        raise InvalidRequest(
            f"'max_tokens' must be greater than 'thinking.budget_tokens' ({body.thinking.budget_tokens}): "
            "thinking counts towards it.",
            param="max_tokens",
        )
    return replace(
        prompt_request(body),
        sampling=body.sampling(),
        max_tokens=body.max_tokens,
        stop=body.stop_strings,
        cache_key=body.cache_key(),
    )
