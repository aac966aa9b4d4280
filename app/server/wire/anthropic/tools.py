"""Tools as Anthropic writes them, and the way to the domain's."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.generation import AutoToolChoice, NamedToolChoice, Tool, ToolChoice
from app.server.wire.base import Items, Part
from app.server.wire.output import schema_text

__all__ = ["AnthropicTool", "WireToolChoice", "domain_tool_choice", "domain_tools", "runs_parallel"]


class AnthropicTool(Part):
    """`input_examples` become a part of the description."""

    type: str | None = None
    name: Annotated[str, Field(pattern=r"^[\w.:/-]{1,128}$")]
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    input_examples: Items[dict[str, Any]] | None = None
    strict: bool | None = None


class AutoChoice(Part):
    type: Literal["auto"]
    disable_parallel_tool_use: bool | None = None


class AnyChoice(Part):
    type: Literal["any"]
    disable_parallel_tool_use: bool | None = None


class NamedChoice(Part):
    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool | None = None


class NoneChoice(Part):
    type: Literal["none"]


WireToolChoice: TypeAlias = Annotated[AutoChoice | AnyChoice | NamedChoice | NoneChoice, Field(discriminator="type")]


def domain_tools(tools: list[AnthropicTool]) -> tuple[Tool, ...]:
    """Raises InvalidRequest, and UnsupportedParameter for tools that are not described by a schema."""
    converted = tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools))
    names = [tool.name for tool in converted]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InvalidRequest(f"Two tools are called '{name}'.", param=f"tools[{index}].name")
    return converted


def domain_tool_choice(choice: WireToolChoice | None, tools: tuple[Tool, ...]) -> ToolChoice:
    """Raises InvalidRequest for a choice that `tools` can't fulfil."""
    match choice:
        case None | AutoChoice():
            return AutoToolChoice.AUTO
        case NoneChoice():
            return AutoToolChoice.NONE
        case AnyChoice():
            if not tools:
                raise InvalidRequest("tool_choice is 'any', but there are no tools to call.", param="tool_choice")
            return AutoToolChoice.REQUIRED
        case NamedChoice():
            if not any(tool.name == choice.name for tool in tools):
                raise InvalidRequest(
                    f"tool_choice names '{choice.name[:100]}', which is not among the tools.", param="tool_choice.name"
                )
            return NamedToolChoice.of(choice.name)


def runs_parallel(choice: WireToolChoice | None) -> bool:
    """Whether an answer may hold several calls."""
    return choice is None or isinstance(choice, NoneChoice) or not choice.disable_parallel_tool_use


def _tool(tool: AnthropicTool, place: str) -> Tool:
    if tool.type not in {None, "custom"}:
        raise UnsupportedParameter(
            f"Tools of type '{str(tool.type)[:50]}' are not supported: nothing runs them here, and models know none by name. "
            "Describe a tool of your own, with 'name' and 'input_schema'.",
            param=f"{place}.type",
        )
    if tool.input_schema is None:
        raise InvalidRequest("A tool needs 'input_schema', a JSON Schema.", param=f"{place}.input_schema")
    return Tool(
        name=tool.name,
        description=_description(tool),
        parameters=schema_text(tool.input_schema, f"{place}.input_schema"),
        strict=bool(tool.strict),
    )


def _description(tool: AnthropicTool) -> str:
    examples = [f"\n{json.dumps(example, ensure_ascii=False)}" for example in tool.input_examples or ()]
    described = tool.description or ""
    return f"{described}\n\nExamples of its input:{''.join(examples)}".strip() if examples else described
