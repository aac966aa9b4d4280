"""How much a model is to think, and what its thoughts look like, as Anthropic writes it."""

from __future__ import annotations

import base64
import enum
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from app.domain.generation import Effort, ReasoningChoice
from app.server.wire.base import Part

__all__ = ["Display", "WireEffort", "WireThinking", "display_of", "reasoning_choice", "signature_of", "thoughts_of"]

_SIGNED = "hearth:"

WireEffort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]
_Display: TypeAlias = Literal["summarized", "omitted"] | None


class EnabledThinking(Part):
    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1)]
    display: _Display = None


class AdaptiveThinking(Part):
    """The model decides."""

    type: Literal["adaptive"]
    display: _Display = None


class DisabledThinking(Part):
    type: Literal["disabled"]


WireThinking: TypeAlias = Annotated[EnabledThinking | AdaptiveThinking | DisabledThinking, Field(discriminator="type")]


class Display(enum.Enum):
    """What an answer has of the model's thoughts: blocks with their text, blocks without it, or no blocks."""

    SHOWN = enum.auto()
    OMITTED = enum.auto()
    NONE = enum.auto()


def display_of(thinking: WireThinking | None) -> Display:
    """A client that doesn't ask for thoughts takes the first block for the answer: it gets none, whatever the model does."""
    match thinking:
        case EnabledThinking() | AdaptiveThinking():
            return Display.OMITTED if thinking.display == "omitted" else Display.SHOWN
        case _:
            return Display.NONE


def reasoning_choice(thinking: WireThinking | None, effort: WireEffort | None) -> ReasoningChoice:
    chosen = Effort(effort) if effort is not None else None
    match thinking:
        case EnabledThinking():
            return ReasoningChoice(chosen or Effort.ON, thinking.budget_tokens)
        case DisabledThinking():
            return ReasoningChoice(Effort.NONE)
        case _:
            return ReasoningChoice(chosen)


def signature_of(thoughts: str, display: Display) -> str:
    """Of omitted thoughts it is all that the client gives back, so it holds them."""
    return _SIGNED + (base64.b64encode(thoughts.encode()).decode() if display is Display.OMITTED else "")


def thoughts_of(thinking: str, signature: str) -> str:
    """What the model thought, as far as it can be told: another server's signature says nothing here."""
    if thinking or not signature.startswith(_SIGNED):
        return thinking
    try:
        return base64.b64decode(signature.removeprefix(_SIGNED), validate=True).decode()
    except ValueError:
        return ""
