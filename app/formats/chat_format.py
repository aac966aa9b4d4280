"""One model's way of talking: messages in, prompt segments out; pieces of text in, deltas out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.domain.errors import UnsupportedContent
from app.domain.generation import ChatRequest, Effort, ReasoningChoice
from app.domain.messages import Role, ToolCall
from app.domain.models import Capability
from app.domain.prompt import Constraint, ControlText, PromptSegment, ReasoningLimit
from app.formats.call_grammar import channel_reasoning, channel_words
from app.formats.call_writer import write_answer
from app.formats.channel_parser import ChannelParser
from app.formats.constraint import binds, constraint_for
from app.formats.derive import derive_spec
from app.formats.families import Family, family_of
from app.formats.ledger import Delta
from app.formats.parser import OutputParser
from app.formats.prompt import plain_prompt, render_prompt
from app.formats.spec import PROMPTED_TOOLS, FormatSpec
from app.formats.spec_json import spec_to_json
from app.formats.template import CHATML, BrokenTemplate, ChatTemplate
from app.formats.thinking import SWITCHES, ReasoningControl, Thinking
from app.formats.traits import TemplateTraits, traits_of
from app.formats.turns import begun_turn, offered_tools

__all__ = ["ChannelParser", "ChatFormat", "Delta", "OutputParser", "template_problem"]

_EXAMPLE = ToolCall("call00001", "get_weather", '{"city": "Paris", "days": 2}')


class ChatFormat:
    """Immutable once made; one per loaded model. May be used from any thread."""

    def __init__(self, template: ChatTemplate, traits: TemplateTraits, spec: FormatSpec, *, problem: str | None = None) -> None:
        self._template = template
        self._traits = traits
        self._shows_tools = bool(spec.tools or spec.channels)
        # A template that has no words for tools leaves it to us to find some.
        self._spec = spec if self._shows_tools or traits.tools else replace(spec, tools=PROMPTED_TOOLS)
        self._problem = problem
        self._reasoning = ReasoningControl(template, traits, spec)

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
        reasons = self._spec.reasoning or self._spec.channels
        found = ((Capability.TOOLS, self._shows_tools), (Capability.REASONING, reasons))
        return frozenset(capability for capability, syntax in found if syntax)

    @property
    def problem(self) -> str | None:
        """What is wrong with the model's template, as a sentence; None if nothing is."""
        return self._problem

    @property
    def thinks_by_default(self) -> bool:
        """Whether the model reasons where nobody says anything about it."""
        return self._reasoning.thinking({}) is not Thinking.OFF

    @property
    def spec(self) -> FormatSpec:
        return self._spec

    def prompt(self, request: ChatRequest) -> tuple[PromptSegment, ...]:
        """Raises InvalidRequest (the template refused the conversation) and UnsupportedContent (tools it can't take)."""
        self._require_tools(request)
        prompt = render_prompt(self._template, self._traits, self._told(request), self._spec.tools)
        closing = self._closing_of_prompt(request)
        return (*prompt, ControlText(closing)) if closing else prompt

    def constraint(self, request: ChatRequest) -> Constraint | None:
        """The grammar for `output` and for the calls of `tools`. Raises InvalidRequest for a bad schema."""
        self._require_tools(request)
        if not binds(request):
            # To find out whether the model thinks takes another rendering.
            return None
        constraint = constraint_for(request, self._spec, thinking=self._thinking(request))
        begun = begun_turn(request)
        return replace(constraint, begun=begun.text) if constraint is not None and begun is not None else constraint

    def reasoning_limit(self, request: ChatRequest) -> ReasoningLimit | None:
        """Where the reasoning ends at the latest, if the request bounds it."""
        reasoning, channels = self._spec.reasoning, self._spec.channels
        budget = 0 if _wants_none(request) else request.reasoning.budget
        if budget is None or budget < 0:
            return None
        if channels is not None:
            opening, end = channel_reasoning(channels)
            # Where a call may follow, the model chooses the next message's header.
            header = "" if offered_tools(request) else channel_words(channels)
            return ReasoningLimit(budget, opening, end, f"{end}{channels.start}{channels.role}{header}")
        if reasoning is None:
            return None
        begun = self._thinking(request) is Thinking.BEGUN
        return ReasoningLimit(budget, reasoning.open, reasoning.close, self._reasoning.closing(reasoning), begun=begun)

    def parser(self, request: ChatRequest) -> OutputParser | ChannelParser:
        """A fresh parser for one answer."""
        tools, channels = offered_tools(request), self._spec.channels
        if channels is not None:
            return ChannelParser(
                self._spec,
                channels,
                tools=tools,
                parallel_calls=request.parallel_tool_calls,
                in_content=begun_turn(request) is not None,
            )
        return OutputParser(
            self._spec,
            tools=tools,
            parallel_calls=request.parallel_tool_calls,
            in_reasoning=self._thinking(request) is Thinking.BEGUN,
        )

    def describe(self) -> dict[str, Any]:
        """What was found out about the template, as plain values, for people who debug one.

        `origins` says of each part of the format where it comes from: the template, the family of that name in the table, or
        the words that Hearth tells a model of tools. `efforts` are the template arguments that stand for an effort.
        """
        family = family_of(self._template.source)
        efforts = {str(effort): self._reasoning.args(ReasoningChoice(effort)) for effort in Effort}
        return {
            "problem": self._problem,
            "family": family.name if family else None,
            "origins": self._origins(family),
            "thinking": self._reasoning.thinking({}).name.lower(),
            "efforts": {effort: args for effort, args in efforts.items() if args},
            "example": write_answer(self._spec, _EXAMPLE),
            "traits": {name: getattr(self._traits, name) for name in self._traits.__slots__},
            **spec_to_json(self._spec),
        }

    def _origins(self, family: Family | None) -> dict[str, str]:
        parts = [name for name in self._spec.__slots__ if getattr(self._spec, name)]
        origins = {name: family.name if family and name in family.parts else "template" for name in parts}
        prompted = {"tools": "prompted"} if self._spec.tools and not self._shows_tools else {}
        return origins | prompted

    def _told(self, request: ChatRequest) -> ChatRequest:
        """The request with what its wishes for reasoning mean to the template."""
        args = self._reasoning.args(request.reasoning)
        return replace(request, template_args={**args, **request.template_args}) if args else request

    def _thinking(self, request: ChatRequest) -> Thinking:
        return Thinking.OFF if self._closing_of_prompt(request) else self._shown_thinking(request)

    def _shown_thinking(self, request: ChatRequest) -> Thinking:
        """What the prompt as the template writes it makes the model do."""
        reasoning = self._spec.reasoning
        if begun := begun_turn(request):
            text = begun.text
            is_open = reasoning and (not text or text.rfind(reasoning.open) > text.rfind(reasoning.close))
            return Thinking.BEGUN if is_open else Thinking.OFF
        if reasoning is None:
            return self._reasoning.thinking({})
        told = self._told(request)
        prompt = plain_prompt(self._template, self._traits, told, self._spec.tools)
        return self._reasoning.thinking(told.template_args, prompt=prompt)

    def _closing_of_prompt(self, request: ChatRequest) -> str:
        """What closes the reasoning that the template opens although none is wanted: it has no switch."""
        reasoning = self._spec.reasoning
        if reasoning is None or not _wants_none(request):
            return ""
        return self._reasoning.closing(reasoning) if self._shown_thinking(request) is Thinking.BEGUN else ""

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


def template_problem(source: str) -> str | None:
    """Why a template can't be used, with the line; None if it can."""
    try:
        traits_of(ChatTemplate(source, bos_text="", eos_text=""))
    except BrokenTemplate as error:
        return str(error)
    return None


def _wants_none(request: ChatRequest) -> bool:
    """Whether there is to be no reasoning; what the template is told outright counts for more."""
    return request.reasoning.effort is Effort.NONE and not SWITCHES & request.template_args.keys()
