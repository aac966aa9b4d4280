"""Tools and output formats as OpenAI writes them, and the way to the domain's."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.generation import (
    AutoToolChoice,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedToolChoice,
    OutputFormat,
    TextFormat,
    Tool,
    ToolChoice,
)
from app.server.wire.base import Part

__all__ = ["ResponseFormat", "WireTool", "WireToolChoice", "domain_output", "domain_tool_choice", "domain_tools"]

_MAX_SCHEMA_CHARS = 256 * 1024


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
    tools: list[_AllowedEntry]


class AllowedTools(Part):
    type: Literal["allowed_tools"]
    allowed_tools: _Allowed


WireToolChoice: TypeAlias = Literal["none", "auto", "required"] | NamedFunction | AllowedTools


class _JsonSchema(Part):
    name: str = "response"
    description: str | None = None
    json_schema: Annotated[dict[str, Any] | bool | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(Part):
    """`schema` beside type json_object is an extension."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None
    object_schema: Annotated[dict[str, Any] | None, Field(alias="schema")] = None


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
            return NamedToolChoice.of(_known(choice.function.name, tools))
        case AllowedTools(allowed_tools=allowed):
            names = tuple(dict.fromkeys(_known(entry.function.name, tools) for entry in allowed.tools))
            if not names:
                return _mode("none" if allowed.mode == "auto" else allowed.mode, ())
            return NamedToolChoice(names, required=allowed.mode == "required")
        case _:
            return _mode(choice, tools)


def domain_output(wanted: ResponseFormat | None) -> OutputFormat:
    if wanted is None or wanted.type == "text":
        return TextFormat()
    if wanted.type == "json_object":
        schema = wanted.object_schema
        return JsonObjectFormat() if schema is None else JsonSchemaFormat(_text(schema, "response_format.schema"))
    if wanted.json_schema is None:
        raise InvalidRequest("A response_format of type json_schema needs 'json_schema'.", param="response_format.json_schema")
    place = "response_format.json_schema.schema"
    if wanted.json_schema.json_schema is None:
        raise InvalidRequest("The response_format's json_schema needs 'schema', a JSON Schema.", param=place)
    return JsonSchemaFormat(_text(wanted.json_schema.json_schema, place), wanted.json_schema.name)


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
        parameters=_text(schema, f"{place}.function.parameters"),
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


def _text(schema: dict[str, Any] | bool, place: str) -> str:
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    if len(text) > _MAX_SCHEMA_CHARS:
        raise InvalidRequest(f"The JSON Schema is longer than {_MAX_SCHEMA_CHARS // 1024} KiB.", param=place)
    return text
