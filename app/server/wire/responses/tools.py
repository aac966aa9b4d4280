"""Tools as POST /v1/responses writes them, and the way to the domain's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.generation import Tool, ToolChoice
from app.server.wire.base import Items, Part
from app.server.wire.output import schema_text
from app.server.wire.tools import allowed_choice, domain_tool_choice, named_choice

__all__ = [
    "OfferedTools",
    "ResponseTool",
    "ResponseToolChoice",
    "ToolName",
    "offered_tools",
    "qualified",
    "response_tool_choice",
]

# What agents always bring along among their functions, for servers that have it; none of them speaks of data of the person's
# own. Where the model is free to use them it does without, and the answer says so.
_OPTIONAL = frozenset(
    {
        *("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"),
        *("image_generation", "tool_search", "local_shell", "shell", "apply_patch", "custom"),
    }
)
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


class ResponseTool(Part):
    """`tools` are those of a namespace. `parameters` is a JSON Schema; left out, the function takes none."""

    type: str
    name: Annotated[str, Field(pattern=r"^[\w.:/-]{1,128}$")] | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    tools: Annotated[Items[ResponseTool], Field(max_length=128)] | None = None


class ChosenTool(Part):
    type: str
    name: str | None = None


class ChosenTools(Part):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Items[ChosenTool]


def _kind_of_choice(choice: Any) -> str:
    if isinstance(choice, dict):
        return "allowed_tools" if choice.get("type") == "allowed_tools" else "tool"
    return "mode" if choice in ("none", "auto", "required") else ""


ResponseToolChoice: TypeAlias = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("mode")]
    | Annotated[ChosenTool, Tag("tool")]
    | Annotated[ChosenTools, Tag("allowed_tools")],
    Discriminator(
        _kind_of_choice,
        custom_error_type="tool_choice",
        custom_error_message="Input should be 'none', 'auto', 'required', or an object of type 'function' or 'allowed_tools'",
    ),
]


@dataclass(frozen=True, slots=True)
class ToolName:
    name: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """What the model is offered: `tools`, whose names to the model `names` maps to the client's; and `bodies`, the same as the
    answer tells them. `left_out` are the types of those it does without."""

    tools: tuple[Tool, ...]
    names: Mapping[str, ToolName]
    bodies: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...]


def qualified(name: str, namespace: str | None) -> str:
    """A function's name to the model."""
    return f"{namespace}.{name}" if namespace else name


def offered_tools(tools: Sequence[ResponseTool], choice: ResponseToolChoice | None) -> OfferedTools:
    """Raises InvalidRequest, and UnsupportedParameter for a tool that can't be left out silently."""
    converted: dict[str, Tool] = {}
    names: dict[str, ToolName] = {}
    bodies: list[dict[str, Any]] = []
    foreign: list[tuple[str, str]] = []
    for index, tool in enumerate(tools):
        place = f"tools[{index}]"
        match tool.type:
            case "function":
                members, namespace = [(tool, place)], None
                bodies.append(_function_body(tool))
            case "namespace":
                members, namespace = _members(tool, place), tool.name
                bodies.append(_namespace_body(tool))
            case _:
                foreign.append((tool.type, f"{place}.type"))
                continue
        for member, where in members:
            function = _function(member, namespace, where)
            if function.name in converted:
                raise InvalidRequest(f"Two tools are called '{function.name}'.", param=f"{where}.name")
            converted[function.name] = function
            names[function.name] = ToolName(member.name or "", namespace)
    for kind, place in foreign:
        if kind not in _OPTIONAL or not converted or choice == "required":
            raise UnsupportedParameter(
                f"Hearth has no tool of type '{kind[:50]}', only functions. Leave it out of 'tools'.", param=place
            )
    left_out = tuple(dict.fromkeys(kind for kind, _ in foreign))
    return OfferedTools(tuple(converted.values()), names, tuple(bodies), left_out)


def response_tool_choice(choice: ResponseToolChoice | None, tools: tuple[Tool, ...]) -> ToolChoice:
    """Raises InvalidRequest for a choice that `tools` can't fulfil."""
    match choice:
        case ChosenTool():
            return named_choice(_chosen(choice, "tool_choice"), tools)
        case ChosenTools():
            names = [_chosen(entry, f"tool_choice.tools[{index}]") for index, entry in enumerate(choice.tools)]
            return allowed_choice(names, tools, required=choice.mode == "required")
        case _:
            return domain_tool_choice(choice, tools)


def _chosen(tool: ChosenTool, place: str) -> str:
    if tool.type != "function":
        raise UnsupportedParameter(f"Hearth has no tool of type '{tool.type[:50]}', only functions.", param=f"{place}.type")
    if tool.name is None:
        raise InvalidRequest(f"'{place}' needs the function's 'name'.", param=f"{place}.name")
    return tool.name


def _members(tool: ResponseTool, place: str) -> list[tuple[ResponseTool, str]]:
    if tool.name is None:
        raise InvalidRequest("A namespace needs 'name'.", param=f"{place}.name")
    members = [(member, f"{place}.tools[{index}]") for index, member in enumerate(tool.tools or ())]
    for member, where in members:
        if member.type != "function":
            raise UnsupportedParameter(
                f"Hearth has no tool of type '{member.type[:50]}', only functions.", param=f"{where}.type"
            )
    return members


def _function(tool: ResponseTool, namespace: str | None, place: str) -> Tool:
    if tool.name is None:
        raise InvalidRequest("A tool of type function needs 'name'.", param=f"{place}.name")
    return Tool(
        name=qualified(tool.name, namespace),
        description=tool.description or "",
        parameters=schema_text(dict(_NO_PARAMETERS) if tool.parameters is None else tool.parameters, f"{place}.parameters"),
        strict=bool(tool.strict),
    )


def _function_body(tool: ResponseTool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": bool(tool.strict),
    }


def _namespace_body(tool: ResponseTool) -> dict[str, Any]:
    return {
        "type": "namespace",
        "name": tool.name,
        "description": tool.description or "",
        "tools": [_function_body(member) for member in tool.tools or ()],
    }
