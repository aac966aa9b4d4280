from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from app.domain.errors import InvalidRequest, UnsupportedParameter
from app.domain.generation import AutoToolChoice, NamedToolChoice, Tool, ToolChoice
from app.server.wire.anthropic.tools import (
    AnthropicTool,
    WireToolChoice,
    domain_tool_choice,
    domain_tools,
    runs_parallel,
)

_TOOLS = TypeAdapter(list[AnthropicTool])
_CHOICE: TypeAdapter[WireToolChoice | None] = TypeAdapter(WireToolChoice | None)
ADD = {"name": "add", "input_schema": {"type": "object"}}
KNOWN = (Tool("add"), Tool("sub"))


def convert(*tools: dict[str, Any]) -> tuple[Tool, ...]:
    return domain_tools(_TOOLS.validate_python(list(tools)))


def test_a_tool_is_its_name_what_it_does_and_its_schema() -> None:
    given = {**ADD, "type": "custom", "description": "Adds.", "strict": True, "cache_control": {"type": "ephemeral"}}
    assert convert(given) == (Tool("add", "Adds.", '{"type":"object"}', strict=True),)
    assert convert({**ADD, "type": None}) == (Tool("add", "", '{"type":"object"}'),)


def test_examples_of_its_input_are_told_with_it() -> None:
    (tool,) = convert({**ADD, "description": "Adds.", "input_examples": [{"x": 1}, {"x": "é"}]})
    assert tool.description == 'Adds.\n\nExamples of its input:\n{"x": 1}\n{"x": "é"}'


@pytest.mark.parametrize(
    "kind", ["web_search_20250305", "bash_20250124", "text_editor_20250728", "computer_20250124", "memory_20250818", "x" * 999]
)
def test_a_tool_that_only_anthropic_has_is_refused_by_its_name(kind: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        convert(ADD, {"type": kind, "name": "it"})
    assert caught.value.param == "tools[1].type"
    assert kind[:50] in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(("tools", "param"), [(({"name": "add"},), "tools[0].input_schema"), ((ADD, ADD), "tools[1].name")])
def test_a_tool_that_can_t_be_called_is_a_mistake(tools: tuple[dict[str, Any], ...], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        convert(*tools)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, AutoToolChoice.AUTO),
        ({"type": "auto"}, AutoToolChoice.AUTO),
        ({"type": "any"}, AutoToolChoice.REQUIRED),
        ({"type": "none"}, AutoToolChoice.NONE),
        ({"type": "tool", "name": "sub"}, NamedToolChoice.of("sub")),
    ],
)
def test_a_choice_has_its_meaning(choice: dict[str, Any] | None, expected: ToolChoice) -> None:
    assert domain_tool_choice(_CHOICE.validate_python(choice), KNOWN) == expected


@pytest.mark.parametrize(
    ("choice", "tools", "param"),
    [({"type": "any"}, (), "tool_choice"), ({"type": "tool", "name": "mul"}, KNOWN, "tool_choice.name")],
)
def test_a_choice_that_can_t_be_made_is_a_mistake(choice: dict[str, Any], tools: tuple[Tool, ...], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        domain_tool_choice(_CHOICE.validate_python(choice), tools)
    assert caught.value.param == param


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "add"}])
def test_every_choice_may_ask_for_one_call_at_a_time(choice: dict[str, Any]) -> None:
    assert runs_parallel(_CHOICE.validate_python(choice))
    assert not runs_parallel(_CHOICE.validate_python({**choice, "disable_parallel_tool_use": True}))
    assert runs_parallel(None)
    assert runs_parallel(_CHOICE.validate_python({"type": "none"}))
