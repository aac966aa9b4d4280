from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.domain.generation import Effort, ReasoningChoice
from app.server.wire.anthropic.thinking import (
    Display,
    WireEffort,
    WireThinking,
    display_of,
    reasoning_choice,
    signature_of,
    thoughts_of,
)

_THINKING: TypeAdapter[WireThinking | None] = TypeAdapter(WireThinking | None)


@pytest.mark.parametrize(
    ("thinking", "effort", "expected"),
    [
        (None, None, ReasoningChoice()),
        (None, "low", ReasoningChoice(Effort.LOW)),
        ({"type": "adaptive"}, None, ReasoningChoice()),
        ({"type": "adaptive"}, "max", ReasoningChoice(Effort.MAX)),
        ({"type": "enabled", "budget_tokens": 2048}, None, ReasoningChoice(Effort.ON, 2048)),
        ({"type": "enabled", "budget_tokens": 2048}, "medium", ReasoningChoice(Effort.MEDIUM, 2048)),
        ({"type": "disabled"}, "high", ReasoningChoice(Effort.NONE)),
    ],
)
def test_a_wish_for_thoughts_is_understood(
    thinking: dict[str, Any] | None, effort: WireEffort | None, expected: ReasoningChoice
) -> None:
    assert reasoning_choice(_THINKING.validate_python(thinking), effort) == expected


@pytest.mark.parametrize(
    "thinking", [{"type": "between_tools"}, {"type": "enabled"}, {"type": "enabled", "budget_tokens": 0}, {}]
)
def test_any_other_wish_is_a_mistake(thinking: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _THINKING.validate_python(thinking)


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (None, Display.NONE),
        ({"type": "disabled"}, Display.NONE),
        ({"type": "adaptive"}, Display.SHOWN),
        ({"type": "adaptive", "display": None}, Display.SHOWN),
        ({"type": "enabled", "budget_tokens": 9, "display": "summarized"}, Display.SHOWN),
        ({"type": "adaptive", "display": "omitted"}, Display.OMITTED),
    ],
)
def test_thoughts_are_shown_to_who_asks_for_them(thinking: dict[str, Any] | None, expected: Display) -> None:
    assert display_of(_THINKING.validate_python(thinking)) is expected


def test_omitted_thoughts_come_back_by_their_signature() -> None:
    assert thoughts_of("", signature_of("Grün, or\nblue?", Display.OMITTED)) == "Grün, or\nblue?"
    assert thoughts_of("Shown.", signature_of("Shown.", Display.SHOWN)) == "Shown."


@pytest.mark.parametrize("signature", ["", "EqQBCkYIBxgC", "hearth:", "hearth:%%%", "hearth:/w=="])
def test_a_signature_that_says_nothing_is_no_mistake(signature: str) -> None:
    assert thoughts_of("", signature) == ""
