"""One model's way of talking: messages in, prompt segments out; pieces of text in, deltas out."""

from __future__ import annotations

from typing import Any

from app.domain.errors import UnsupportedContent
from app.domain.generation import ChatRequest
from app.domain.messages import Role
from app.domain.models import Capability
from app.domain.prompt import Constraint, PromptSegment
from app.formats.channel_parser import ChannelParser
from app.formats.constraint import constraint_for
from app.formats.conversation import offered_tools
from app.formats.derive import derive_spec
from app.formats.ledger import Delta
from app.formats.parser import OutputParser
from app.formats.prompt import render_prompt
from app.formats.spec import FormatSpec
from app.formats.spec_json import spec_to_json
from app.formats.template import CHATML, BrokenTemplate, ChatTemplate
from app.formats.thinking import Thinking, thinking_of
from app.formats.traits import TemplateTraits, traits_of

__all__ = ["ChannelParser", "ChatFormat", "Delta", "OutputParser"]


class ChatFormat:
    """Immutable once made; one per loaded model. May be used from any thread."""

    def __init__(self, template: ChatTemplate, traits: TemplateTraits, spec: FormatSpec, *, problem: str | None = None) -> None:
        self._template = template
        self._traits = traits
        self._spec = spec
        self._problem = problem

    @classmethod
    def of(cls, template: str | None, *, bos_text: str, eos_text: str) -> ChatFormat:
        """The format of a model's own Jinja template; ChatML where it has none. A broken template falls back to ChatML and
        `problem` says so."""
        problem = None
        if template and template.strip():
            try:
                return cls._of_working(ChatTemplate(template, bos_text=bos_text, eos_text=eos_text))
            except BrokenTemplate as error:
                problem = f"The model's chat template is broken ({error}). ChatML is used instead; answers may suffer."
        return cls._of_working(ChatTemplate(CHATML, bos_text=bos_text, eos_text=eos_text), problem=problem)

    @classmethod
    def _of_working(cls, template: ChatTemplate, *, problem: str | None = None) -> ChatFormat:
        traits = traits_of(template)
        return cls(template, traits, derive_spec(template, traits), problem=problem)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """TOOLS and REASONING, as the template shows them."""
        spec = self._spec
        found = ((Capability.TOOLS, spec.tools or spec.channels), (Capability.REASONING, spec.reasoning or spec.channels))
        return frozenset(capability for capability, syntax in found if syntax)

    @property
    def problem(self) -> str | None:
        """What is wrong with the model's template, as a sentence; None if nothing is."""
        return self._problem

    @property
    def spec(self) -> FormatSpec:
        return self._spec

    def prompt(self, request: ChatRequest) -> tuple[PromptSegment, ...]:
        """Raises InvalidRequest (the template refused the conversation) and UnsupportedContent (tools it can't take)."""
        self._require_tools(request)
        return render_prompt(self._template, self._traits, request)

    def constraint(self, request: ChatRequest) -> Constraint | None:
        """The grammar for `output` and for the calls of `tools`. Raises InvalidRequest for a bad schema."""
        self._require_tools(request)
        return constraint_for(request, self._spec, thinking=self._thinking(request))

    def parser(self, request: ChatRequest) -> OutputParser | ChannelParser:
        """A fresh parser for one answer."""
        tools, channels = offered_tools(request), self._spec.channels
        if channels is not None:
            return ChannelParser(self._spec, channels, tools=tools, parallel_calls=request.parallel_tool_calls)
        return OutputParser(
            self._spec,
            tools=tools,
            parallel_calls=request.parallel_tool_calls,
            in_reasoning=self._thinking(request) is Thinking.BEGUN,
        )

    def describe(self) -> dict[str, Any]:
        """What was found out about the template, as plain values, for people who debug one."""
        shapes = {name: getattr(self._traits, name) for name in self._traits.__slots__}
        return {"problem": self._problem, "traits": shapes, **spec_to_json(self._spec)}

    def _thinking(self, request: ChatRequest) -> Thinking:
        return thinking_of(self._template, self._traits, self._spec, request.template_args)

    def _require_tools(self, request: ChatRequest) -> None:
        if self._spec.tools or self._spec.channels:
            return
        if offered_tools(request):
            raise UnsupportedContent(
                "Hearth knows no tool calls for this model's chat template. Leave out 'tools', or use another model.",
                param="tools",
            )
        if any(message.tool_calls or message.role is Role.TOOL for message in request.messages):
            raise UnsupportedContent(
                "Hearth knows no tool calls for this model's chat template. Leave them out of the messages.", param="messages"
            )
