from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.generation import (
    AutoToolChoice,
    NamedToolChoice,
    Tool,
    ToolChoice,
)
from app.server.wire.tools import (
    WireTool,
    WireToolChoice,
    domain_tool_choice,
    domain_tools,
)

_TOOLS = TypeAdapter(list[WireTool])
_CHOICE: TypeAdapter[Any] = TypeAdapter(WireToolChoice | None)
ADD, SUB = Tool("add"), Tool("sub")


def tools(*given: dict[str, Any]) -> tuple[Tool, ...]:
    return domain_tools(_TOOLS.validate_python(list(given)))


def choice(given: Any, *known: Tool) -> ToolChoice:
    return domain_tool_choice(_CHOICE.validate_python(given), known)


def test_a_function_comes_through_with_its_schema_as_text() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    function = {"name": "add", "description": "Adds.", "parameters": schema, "strict": True}
    (tool,) = tools({"type": "function", "function": function})
    assert (tool.name, tool.description, tool.strict, json.loads(tool.parameters)) == ("add", "Adds.", True, schema)


def test_a_function_without_parameters_takes_none() -> None:
    (tool,) = tools({"type": "function", "function": {"name": "now"}})
    assert json.loads(tool.parameters) == {"type": "object", "properties": {}}


def test_other_kinds_of_tools_are_refused() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        tools({"type": "custom", "custom": {"name": "x"}})
    assert caught.value.param == "tools[0].type"


def test_two_tools_of_one_name_are_refused() -> None:
    function = {"type": "function", "function": {"name": "add"}}
    with pytest.raises(InvalidRequest) as caught:
        tools(function, function)
    assert caught.value.param == "tools[1].function.name"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, AutoToolChoice.AUTO),
        ("auto", AutoToolChoice.AUTO),
        ("none", AutoToolChoice.NONE),
        ("required", AutoToolChoice.REQUIRED),
        ({"type": "function", "function": {"name": "sub"}}, NamedToolChoice.of("sub")),
    ],
)
def test_a_choice_comes_through(given: Any, expected: ToolChoice) -> None:
    assert choice(given, ADD, SUB) == expected


@pytest.mark.parametrize(("mode", "required"), [("required", True), ("auto", False)])
def test_allowed_tools_are_those_that_may_be_called(mode: str, required: bool) -> None:
    entry = {"type": "function", "function": {"name": "sub"}}
    given = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [entry]}}
    assert choice(given, ADD, SUB) == NamedToolChoice(("sub",), required=required)


def test_no_allowed_tools_are_no_calls() -> None:
    assert choice({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, ADD) == AutoToolChoice.NONE


@pytest.mark.parametrize("given", ["required", {"type": "function", "function": {"name": "mul"}}])
def test_a_choice_that_no_tool_fulfils_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        choice(given)
    assert caught.value.param == "tool_choice"
