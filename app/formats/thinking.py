"""Whether a model is going to think before it answers, read off the end of its prompt."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from app.formats.marks import common_prefix
from app.formats.spec import FormatSpec
from app.formats.template import ChatTemplate
from app.formats.traits import QUESTION, TemplateTraits, probe

__all__ = ["Thinking", "thinking_of"]


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
    off = render(args={**args, "enable_thinking": False, "thinking": False})
    return Thinking.OFF if tail.endswith(spec.reasoning.close) or off in (asked, None) else Thinking.EXPECTED
