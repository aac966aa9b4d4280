"""How much a model is to think, under the names that OpenAI and others gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import Field

from app.domain.errors import InvalidRequest
from app.domain.generation import Effort, ReasoningChoice
from app.server.wire.base import Part, WireRequest

__all__ = ["ReasoningFields", "WireReasoning"]

_Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_Budget: TypeAlias = Annotated[int, Field(ge=-1, le=10_000_000, description="Tokens; -1 sets no bound.")]

T = TypeVar("T")


class WireReasoning(Part):
    """`exclude` keeps the reasoning out of the answer; the model thinks all the same."""

    effort: _Effort | None = None
    enabled: bool | None = None
    max_tokens: _Budget | None = None
    exclude: bool | None = None


class WireThinking(Part):
    """`adaptive` leaves it to the model."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: _Budget | None = None


class ReasoningFields(WireRequest):
    """One wish in many spellings: OpenAI's, OpenRouter's, Anthropic's, vLLM's, llama-server's and Ollama's."""

    reasoning_effort: _Effort | None = None
    reasoning: WireReasoning | None = None
    thinking: WireThinking | None = None
    think: _Effort | bool | None = None
    enable_thinking: bool | None = None
    reasoning_budget: _Budget | None = None
    thinking_budget: _Budget | None = None
    thinking_token_budget: _Budget | None = None
    thinking_budget_tokens: _Budget | None = None
    include_reasoning: bool | None = None

    @property
    def shows_reasoning(self) -> bool:
        hidden = self.reasoning is not None and self.reasoning.exclude
        return not hidden and self.include_reasoning is not False

    @property
    def reasoning_choice(self) -> ReasoningChoice:
        """Raises InvalidRequest where a request says two different things."""
        asked, thinking = self.reasoning or WireReasoning(), self.thinking
        effort_name, effort = _only({
            "reasoning_effort": self.reasoning_effort,
            "reasoning.effort": asked.effort,
            "think": self.think if isinstance(self.think, str) else None,
        })  # fmt: skip
        switches = {
            "reasoning.enabled": asked.enabled,
            "thinking.type": {"enabled": True, "disabled": False}.get(thinking.type) if thinking else None,
            "think": self.think if isinstance(self.think, bool) else None,
            "enable_thinking": self.enable_thinking,
        }
        # An effort switches too.
        _, on = _only({**switches, effort_name: None if effort is None else effort != "none"})
        _, budget = _only({
            "reasoning.max_tokens": asked.max_tokens,
            "thinking.budget_tokens": thinking.budget_tokens if thinking else None,
            "reasoning_budget": self.reasoning_budget,
            "thinking_budget": self.thinking_budget,
            "thinking_token_budget": self.thinking_token_budget,
            "thinking_budget_tokens": self.thinking_budget_tokens,
        })  # fmt: skip
        switched = None if on is None else Effort.ON if on else Effort.NONE
        return ReasoningChoice(Effort(effort) if effort is not None else switched, budget)


def _only(given: Mapping[str, T | None]) -> tuple[str, T | None]:
    """The one value that is given, however often, and who said it first."""
    told = {name: value for name, value in given.items() if value is not None}
    first = next(iter(told), "")
    for name, value in told.items():
        if value != told[first]:
            raise InvalidRequest(f"'{first}' and '{name}' say different things. Give one of them.", param=name)
    return first, told.get(first)
