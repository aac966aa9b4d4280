"""Tools as OpenAI writes them, and the way to the domain's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.generation import (
    AutoToolChoice,
    NamedToolChoice,
    Tool,
    ToolChoice,
)
from app.server.wire.base import Items, Part
from app.server.wire.output import schema_text

__all__ = ["WireTool", "WireToolChoice", "allowed_choice", "domain_tool_choice", "domain_tools", "named_choice"]


class WireFunction(Part):
    """`parameters` is a JSON Schema; left out, the function takes none."""

    name: Annotated[str, Field(pattern=r"^[\w.:/-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class WireTool(Part):
    type: str
    function: WireFunction | None = None


class _Named(Part):
    name: str


class NamedFunction(Part):
    type: Literal["function"]
    function: _Named


class _AllowedEntry(Part):
    type: Literal["function"] = "function"
    function: _Named


class _Allowed(Part):
    mode: Literal["auto", "required"]
    tools: Items[_AllowedEntry]


class AllowedTools(Part):
    type: Literal["allowed_tools"]
    allowed_tools: _Allowed


def _kind_of_choice(choice: Any) -> str:
    if isinstance(choice, dict):
        return str(choice.get("type"))
    return "mode" if choice in ("none", "auto", "required") else ""


# One kind is looked at, so that a mistake is told in its words.
WireToolChoice: TypeAlias = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("mode")]
    | Annotated[NamedFunction, Tag("function")]
    | Annotated[AllowedTools, Tag("allowed_tools")],
    Discriminator(
        _kind_of_choice,
        custom_error_type="tool_choice",
        custom_error_message="Input should be 'none', 'auto', 'required', or an object of type 'function' or 'allowed_tools'",
    ),
]


def domain_tools(tools: list[WireTool]) -> tuple[Tool, ...]:
    converted = tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools))
    names = [tool.name for tool in converted]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InvalidRequest(f"Two tools are called '{name}'.", param=f"tools[{index}].function.name")
    return converted


def domain_tool_choice(choice: WireToolChoice | None, tools: tuple[Tool, ...]) -> ToolChoice:
    """Raises InvalidRequest for a choice that `tools` can't fulfil."""
    match choice:
        case None:
            return AutoToolChoice.AUTO
        case NamedFunction():
            return named_choice(choice.function.name, tools)
        case AllowedTools(allowed_tools=allowed):
            names = [entry.function.name for entry in allowed.tools]
            return allowed_choice(names, tools, required=allowed.mode == "required")
        case _:
            return _mode(choice, tools)


def named_choice(name: str, tools: tuple[Tool, ...]) -> ToolChoice:
    return NamedToolChoice.of(_known(name, tools))


def allowed_choice(names: Iterable[str], tools: tuple[Tool, ...], *, required: bool) -> ToolChoice:
    known = tuple(dict.fromkeys(_known(name, tools) for name in names))
    if not known:
        return _mode("required" if required else "none", ())
    return NamedToolChoice(known, required=required)


def _tool(tool: WireTool, place: str) -> Tool:
    if tool.type != "function":
        raise UnsupportedParameter(
            f"Tools of type '{tool.type[:50]}' are not supported, only functions.", param=f"{place}.type"
        )
    if tool.function is None:
        raise InvalidRequest("A tool of type function needs 'function'.", param=f"{place}.function")
    function = tool.function
    schema = {"type": "object", "properties": {}} if function.parameters is None else function.parameters
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=schema_text(schema, f"{place}.function.parameters"),
        strict=bool(function.strict),
    )


def _mode(mode: str, tools: tuple[Tool, ...]) -> AutoToolChoice:
    if mode == AutoToolChoice.REQUIRED and not tools:
        raise InvalidRequest("tool_choice is 'required', but there are no tools to call.", param="tool_choice")
    return AutoToolChoice(mode)


def _known(name: str, tools: tuple[Tool, ...]) -> str:
    if not any(tool.name == name for tool in tools):
        raise InvalidRequest(f"tool_choice names '{name[:100]}', which is not among the tools.", param="tool_choice")
    return name
