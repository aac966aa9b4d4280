"""Whether a model is going to think before it answers, read off the end of its prompt, and how to tell it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from app.domain.generation import Effort
from app.formats.marks import common_prefix
from app.formats.spec import FormatSpec
from app.formats.template import ChatTemplate
from app.formats.traits import QUESTION, TemplateTraits, probe

__all__ = ["SWITCHES", "Thinking", "effort_args", "thinking_of"]

# The switches and dials of templates; which values a dial has is found out by turning it.
SWITCHES = frozenset(("enable_thinking", "thinking", "enable_reasoning"))
_MODES = {"thinking_mode": ("enabled", "disabled")}
_DIALS = ("reasoning_effort", "thinking_effort", "reasoning_strength")
_NEAREST: Mapping[Effort, tuple[str, ...]] = {
    Effort.NONE: ("none", "no_think", "minimal", "low"),
    Effort.MINIMAL: ("minimal", "low"),
    Effort.LOW: ("low", "minimal", "medium", "high"),
    Effort.MEDIUM: ("medium", "high", "low"),
    Effort.HIGH: ("high", "max"),
    Effort.XHIGH: ("xhigh", "max", "high"),
    Effort.MAX: ("max", "xhigh", "high"),
}
# gpt-oss knows these alone, and its template takes anything.
_CHANNEL_EFFORTS = ("low", "medium", "high")


class Thinking(enum.Enum):
    OFF = enum.auto()
    EXPECTED = enum.auto()
    BEGUN = enum.auto()


def thinking_of(template: ChatTemplate, traits: TemplateTraits, spec: FormatSpec, args: Mapping[str, Any]) -> Thinking:
    """BEGUN where the prompt itself opens the reasoning, EXPECTED where the model will open it."""
    if spec.reasoning is None:
        return Thinking.OFF
    render = partial(probe, template, [traits.turn("user", QUESTION)], tools=traits.no_tools, now=datetime.now().astimezone())
    asked, bare = render(args=args), render(args=args, add_generation_prompt=False)
    if asked is None or bare is None:
        return Thinking.OFF
    tail = asked[common_prefix(asked, bare) :].rstrip()
    if tail.endswith(spec.reasoning.open):
        return Thinking.BEGUN
    # A template that has a switch writes something else when it is off.
    off = render(args={**args, **dict.fromkeys(SWITCHES, False), **{name: values[1] for name, values in _MODES.items()}})
    return Thinking.OFF if tail.endswith(spec.reasoning.close) or off in (asked, None) else Thinking.EXPECTED


def effort_args(template: ChatTemplate, traits: TemplateTraits, spec: FormatSpec, effort: Effort) -> dict[str, Any]:
    """What the template is to be given for an effort: of its own switches and dials, those that it knows."""
    on = effort is not Effort.NONE
    args: dict[str, Any] = {name: on for name in SWITCHES if name in template.variables}
    args |= {name: values[not on] for name, values in _MODES.items() if name in template.variables}
    question = [traits.turn("user", QUESTION)]
    for name in _DIALS:
        if name not in template.variables:
            continue
        values = [value for value in _NEAREST[effort] if spec.channels is None or value in _CHANNEL_EFFORTS]
        taken = (value for value in values if probe(template, question, tools=traits.no_tools, args={**args, name: value}))
        if (value := next(taken, None)) is not None:
            args[name] = value
    return args
