"""How much a model is to think, under the names that OpenAI and others gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol, TypeAlias, TypeVar

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.domain.generation import Effort, ReasoningChoice
from app.server.wire.base import Part

__all__ = ["Budget", "WireEffort", "WireReasoning", "reasoning_choice"]

WireEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Budget: TypeAlias = Annotated[int, Field(ge=-1, le=10_000_000, description="Tokens; -1 sets no bound.")]

T = TypeVar("T")
# Names that only switch reasoning on or off.
_SWITCHES = {"reasoning.enabled", "think"}
_BUDGETS = ("reasoning_budget", "thinking_budget", "thinking_token_budget", "thinking_budget_tokens")


class WireReasoning(Part):
    """`exclude` keeps the reasoning out of the answer; the model thinks all the same."""

    effort: WireEffort | None = None
    enabled: bool | None = None
    max_tokens: Budget | None = None
    exclude: bool | None = None


class _Body(Protocol):
    @property
    def reasoning_effort(self) -> WireEffort | None: ...

    @property
    def reasoning(self) -> WireReasoning | None: ...

    @property
    def think(self) -> bool | WireEffort | None: ...


def reasoning_choice(body: _Body) -> ReasoningChoice:
    """Raises InvalidRequest where a request says two different things."""
    asked = body.reasoning or WireReasoning()
    efforts = {
        "reasoning_effort": body.reasoning_effort,
        "reasoning.effort": asked.effort,
        "reasoning.enabled": _switched(asked.enabled),
        "think": _switched(body.think) if isinstance(body.think, bool) else body.think,
    }
    budgets: dict[str, int | None] = {"reasoning.max_tokens": asked.max_tokens}
    budgets |= {name: getattr(body, name) for name in _BUDGETS}
    effort, budget = _only(efforts), _only(budgets)
    return ReasoningChoice(
        Effort(effort) if effort is not None else None, budget if budget is not None and budget >= 0 else None
    )


def _switched(on: bool | None) -> WireEffort | None:
    """Reasoning that is only switched on is as much as it is by default."""
    return None if on is None else "medium" if on else "none"


def _only(given: Mapping[str, T | None]) -> T | None:
    """The one value that is given, however often."""
    told = {name: value for name, value in given.items() if value is not None}
    names = list(told)
    for name in names[1:]:
        # That reasoning is on says less than how much of it there shall be.
        if told[name] != told[names[0]] and not {name, names[0]} & _SWITCHES:
            raise InvalidRequest(f"'{names[0]}' and '{name}' say different things. Give one of them.", param=name)
    return told[names[0]] if names else None
