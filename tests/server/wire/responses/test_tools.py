from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.domain.errors import InvalidRequest
from app.domain.generation import AutoToolChoice, NamedToolChoice, Tool, ToolChoice
from app.server.wire.responses.tools import (
    OfferedTools,
    ResponseTool,
    ResponseToolChoice,
    ToolName,
    offered_tools,
    response_tool_choice,
)

_TOOLS = TypeAdapter(list[ResponseTool])
_CHOICE: TypeAdapter[Any] = TypeAdapter(ResponseToolChoice | None)
ADD: dict[str, Any] = {
    "type": "function",
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object"},
    "strict": True,
}


def offered(*given: dict[str, Any], choice: Any = None) -> OfferedTools:
    return offered_tools(_TOOLS.validate_python(list(given)), _CHOICE.validate_python(choice))


def chosen(given: Any, *names: str) -> ToolChoice:
    return response_tool_choice(_CHOICE.validate_python(given), tuple(Tool(name) for name in names))


def test_a_function_is_offered_and_told_again() -> None:
    told = offered(ADD, {"type": "function", "name": "now"})
    add, now = told.tools
    assert (add.name, add.description, json.loads(add.parameters), add.strict) == ("add", "Adds.", {"type": "object"}, True)
    assert json.loads(now.parameters) == {"type": "object", "properties": {}}
    assert told.bodies[0] == ADD
    assert told.left_out == ()


def test_functions_of_a_namespace_have_its_name_before_theirs() -> None:
    told = offered(ADD, {"type": "namespace", "name": "math", "description": "", "tools": [ADD]})
    assert [tool.name for tool in told.tools] == ["add", "math.add"]
    assert told.names["math.add"] == ToolName("add", "math")
    assert told.bodies[1]["tools"] == [ADD]


def test_tools_that_agents_bring_along_are_left_out_where_the_model_is_free() -> None:
    told = offered({"type": "web_search"}, ADD, {"type": "custom", "name": "patch"}, {"type": "web_search"})
    assert [body["name"] for body in told.bodies] == ["add"]
    assert told.left_out == ("web_search", "custom")


@pytest.mark.parametrize(
    ("tools", "choice", "param"),
    [
        ([{"type": "web_search"}], None, "tools[0].type"),
        ([ADD, {"type": "web_search"}], "required", "tools[1].type"),
        ([ADD, {"type": "file_search", "vector_store_ids": ["vs_1"]}], None, "tools[1].type"),
        ([ADD, {"type": "mcp", "server_label": "x"}], "none", "tools[1].type"),
        ([{"type": "code_interpreter"}], None, "tools[0].type"),
        ([ADD, ADD], None, "tools[1].name"),
        ([{"type": "function"}], None, "tools[0].name"),
        ([{"type": "namespace", "tools": []}], None, "tools[0].name"),
        ([{"type": "namespace", "name": "n", "tools": [{"type": "custom", "name": "x"}]}], None, "tools[0].tools[0].type"),
    ],
)
def test_tools_that_would_be_missed_are_refused(tools: list[dict[str, Any]], choice: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        offered(*tools, choice=choice)
    assert caught.value.param == param


def test_a_choice_may_be_a_mode_a_function_or_some_functions() -> None:
    assert chosen(None, "add") is AutoToolChoice.AUTO
    assert chosen("required", "add") is AutoToolChoice.REQUIRED
    assert chosen({"type": "function", "name": "add"}, "add") == NamedToolChoice(("add",))
    some = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "sub"}]}
    assert chosen(some, "add", "sub") == NamedToolChoice(("sub",), required=False)
    assert chosen({**some, "tools": []}, "add") is AutoToolChoice.NONE


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("required", "tool_choice"),
        ({"type": "function", "name": "add"}, "tool_choice"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "web_search"}, "tool_choice.type"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}, "tool_choice.tools[0].type"),
    ],
)
def test_a_choice_that_can_t_be_kept_is_refused(choice: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chosen(choice)
    assert caught.value.param == param


@pytest.mark.parametrize("choice", ["sometimes", 1, [], {"type": "allowed_tools", "mode": "none", "tools": []}])
def test_nonsense_is_no_choice(choice: Any) -> None:
    with pytest.raises(ValidationError):
        _CHOICE.validate_python(choice)
