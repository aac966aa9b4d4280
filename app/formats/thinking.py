"""Whether a model is going to think before it answers, read off the end of its prompt, and how to tell it."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from app.domain.generation import Effort, ReasoningChoice
from app.formats.spec import TAG, FormatSpec, ReasoningSyntax
from app.formats.template import ChatTemplate
from app.formats.traits import QUESTION, TemplateTraits, probe

__all__ = ["SWITCHES", "ReasoningControl", "Thinking"]

# The switches and dials of templates; which values a dial has is found out by turning it.
SWITCHES = frozenset(("enable_thinking", "thinking", "enable_reasoning"))
_MODES = {"thinking_mode": ("enabled", "disabled")}
_DIALS = ("reasoning_effort", "thinking_effort", "reasoning_strength")
_BUDGET = "thinking_budget"
_NEAREST: Mapping[Effort, tuple[str, ...]] = {
    Effort.NONE: ("none", "no_think", "minimal", "low"),
    Effort.MINIMAL: ("minimal", "low"),
    Effort.LOW: ("low", "minimal", "medium", "high"),
    Effort.MEDIUM: ("medium", "high", "low"),
    Effort.HIGH: ("high", "max"),
    Effort.XHIGH: ("xhigh", "max", "high"),
    Effort.MAX: ("max", "xhigh", "high"),
    Effort.ON: ("medium", "high", "low"),
}
# Models that write in channels were trained with these alone, though their templates take anything.
_CHANNEL_EFFORTS = ("low", "medium", "high")
_THOUGHT, _ANSWER = "Rzxr4", "Wzxw4"
_MOST_KEPT = 32


class Thinking(enum.Enum):
    """OFF: it answers at once. EXPECTED: it may open the reasoning itself. BEGUN: the prompt has opened it."""

    OFF = enum.auto()
    EXPECTED = enum.auto()
    BEGUN = enum.auto()


class ReasoningControl:
    """What one template makes of wishes for reasoning. Immutable once made; may be used from any thread."""

    def __init__(self, template: ChatTemplate, traits: TemplateTraits, spec: FormatSpec) -> None:
        self._template = template
        self._traits = traits
        self._spec = spec
        # What was found out, as rendering takes time.
        self._effort_args = cache(self._find_args)
        self._is_on = lru_cache(maxsize=_MOST_KEPT)(self._find_on)

    def args(self, choice: ReasoningChoice) -> dict[str, Any]:
        """What the template is to be given: of its own switches and dials, those that mean what is wanted."""
        args = dict(self._effort_args(choice.effort)) if choice.effort is not None else {}
        if self._knows(_BUDGET):
            budget = 0 if choice.effort is Effort.NONE else choice.budget
            args |= {_BUDGET: budget} if budget is not None and budget >= 0 else {}
        return args

    def thinking(self, args: Mapping[str, Any], *, prompt: str | None = None) -> Thinking:
        """What the model does after `prompt`, or after a plain question, that was rendered with `args`."""
        if self._spec.channels is not None:
            return Thinking.EXPECTED
        if self._spec.reasoning is None:
            return Thinking.OFF
        shown = _shown(self._render(args) if prompt is None else prompt, self._spec)
        if shown is not None:
            return shown
        return Thinking.EXPECTED if self._is_on(json.dumps(args, sort_keys=True)) else Thinking.OFF

    def closing(self, reasoning: ReasoningSyntax) -> str:
        """What ends the reasoning, with the blanks that the template writes around it."""
        user, answer = self._traits.turn("user", QUESTION), self._traits.turn("assistant", _ANSWER)
        turns = [user, {**answer, self._traits.reasoning_key: _THOUGHT}]
        text = probe(self._template, turns, tools=self._traits.no_tools, add_generation_prompt=False) or ""
        _, _, after = text.partition(_THOUGHT)
        before, found, behind = after.partition(reasoning.close)
        if not found or before.strip() or _ANSWER not in behind:
            # As it is written where there is no thought.
            _, opened, after = self._render(self.args(ReasoningChoice(Effort.NONE))).rpartition(reasoning.open)
            before, found, behind = after.partition(reasoning.close)
            if not opened or not found or (before + behind).strip():
                return f"\n{reasoning.close}\n\n"
        return f"{before}{reasoning.close}{behind[: len(behind) - len(behind.lstrip())]}"

    # ------------------------------------------------------------------------------------------------------ finding out
    def _find_args(self, effort: Effort) -> dict[str, Any]:
        args = self._switched(on=effort is not Effort.NONE)
        return {**args, **self._turned(effort, args)}

    def _find_on(self, args: str) -> bool:
        """Whether the template leaves it to the model to think; one that has a switch writes something else when it is off."""
        given = json.loads(args)
        on, off = ({**given, **self.args(ReasoningChoice(effort))} for effort in (Effort.ON, Effort.NONE))
        return self._render(off) in (self._render(on), "") or self._render(given) != self._render(off)

    def _switched(self, *, on: bool) -> dict[str, Any]:
        modes = {name: values[not on] for name, values in _MODES.items() if self._knows(name)}
        return {**{name: on for name in sorted(SWITCHES) if self._knows(name)}, **modes}

    def _turned(self, effort: Effort, args: Mapping[str, Any]) -> dict[str, Any]:
        """The dial, where there is one that has still to be turned."""
        name = next(filter(self._knows, _DIALS), None)
        is_closed = _shown(self._render(args), self._spec) is Thinking.OFF
        if name is None or (effort is Effort.NONE and is_closed) or (effort is Effort.ON and not is_closed):
            return {}
        known = [value for value in _NEAREST[effort] if self._spec.channels is None or value in _CHANNEL_EFFORTS]
        taken = [(value, text) for value in known if (text := self._render({**args, name: value}))]
        if effort is Effort.NONE:
            taken = [(value, text) for value, text in taken if _shown(text, self._spec) is Thinking.OFF] or taken
        return {name: taken[0][0]} if taken else {}

    def _knows(self, name: str) -> bool:
        return name in self._template.variables

    def _render(self, args: Mapping[str, Any]) -> str:
        """The prompt of a plain question; "" where the template refuses."""
        question = [self._traits.turn("user", QUESTION)]
        today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        return probe(self._template, question, tools=self._traits.no_tools, args=args, now=today) or ""


def _shown(prompt: str, spec: FormatSpec) -> Thinking | None:
    """What the end of a prompt says; None if that leaves it to the model."""
    reasoning, end = spec.reasoning, prompt.rstrip()
    if reasoning is None:
        return None
    if end.endswith(reasoning.open):
        return Thinking.BEGUN
    if end.endswith(reasoning.close):
        # Where that takes more than a marker, it may just as well be the end of the turn before.
        before = end.removesuffix(reasoning.close).rstrip()
        return Thinking.OFF if TAG.fullmatch(reasoning.close) or before.endswith(reasoning.open) else None
    return Thinking.OFF if spec.content is not None and end.endswith(spec.content.open) else None
