from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.domain.errors import InvalidRequest
from app.domain.generation import Effort, ReasoningChoice
from app.server.wire.reasoning import ReasoningFields


def body(**fields: Any) -> ReasoningFields:
    return ReasoningFields.model_validate({"model": "ember", **fields})


@pytest.mark.parametrize(
    ("fields", "effort", "budget"),
    [
        ({}, None, None),
        ({"reasoning_effort": "high"}, Effort.HIGH, None),
        ({"reasoning": {"effort": "low", "max_tokens": 100}}, Effort.LOW, 100),
        ({"reasoning": {"enabled": False}}, Effort.NONE, None),
        ({"reasoning": {"enabled": True}}, Effort.ON, None),
        ({"reasoning": {"enabled": True, "effort": "high"}}, Effort.HIGH, None),
        ({"reasoning": {"exclude": True, "summary": "auto"}}, None, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Effort.ON, 1024),
        ({"thinking": {"type": "disabled"}}, Effort.NONE, None),
        ({"thinking": {"type": "adaptive"}}, None, None),
        ({"enable_thinking": True, "thinking_budget": 8}, Effort.ON, 8),
        ({"enable_thinking": False}, Effort.NONE, None),
        ({"think": True}, Effort.ON, None),
        ({"think": False}, Effort.NONE, None),
        ({"think": "low"}, Effort.LOW, None),
        ({"think": True, "reasoning_effort": "max"}, Effort.MAX, None),
        ({"thinking_budget": 0}, None, 0),
        ({"reasoning_budget": -1}, None, -1),
        ({"thinking_budget": 5, "thinking_token_budget": 5}, None, 5),
        ({"thinking_budget_tokens": 5}, None, 5),
    ],
)
def test_how_much_to_think_may_be_said_in_many_ways(fields: dict[str, Any], effort: Effort | None, budget: int | None) -> None:
    assert body(**fields).reasoning_choice == ReasoningChoice(effort, budget)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning_effort": "high", "reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"reasoning_effort": "high", "enable_thinking": False}, "reasoning_effort"),
        ({"reasoning": {"effort": "high", "enabled": False}}, "reasoning.effort"),
        ({"think": "high", "enable_thinking": False}, "enable_thinking"),
        ({"reasoning_effort": "none", "think": True}, "reasoning_effort"),
        ({"reasoning": {"enabled": False}, "thinking": {"type": "enabled"}}, "thinking.type"),
        ({"thinking_budget": 1, "reasoning_budget": 2}, "thinking_budget"),
    ],
)
def test_two_different_wishes_are_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest, match="different things") as caught:
        _ = body(**fields).reasoning_choice
    assert caught.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_effort": "huge"},
        {"reasoning": "high"},
        {"reasoning": {"effort": 3}},
        {"thinking": {"budget_tokens": 3}},
        {"thinking_budget": -2},
        {"thinking_budget": "5"},
        {"think": 1},
    ],
)
def test_wishes_that_nobody_understands_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        body(**fields)


def test_reasoning_may_be_left_out_of_the_answer() -> None:
    assert body().shows_reasoning
    assert not body(include_reasoning=False).shows_reasoning
    assert not body(reasoning={"exclude": True}).shows_reasoning
