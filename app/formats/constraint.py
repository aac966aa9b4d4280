"""The grammar of an answer: JSON that was asked for, tool calls that must be made, and how calls look that may be made."""

from __future__ import annotations

from dataclasses import replace

from app.domain.errors import InvalidRequest, UnsupportedContent
from app.domain.generation import AutoToolChoice, ChatRequest, NamedToolChoice, TextFormat, Tool
from app.domain.prompt import Constraint
from app.domain.schema import MAX_PROPERTIES_IN_ALL, load_schema, n_properties
from app.formats.call_grammar import GAP, CallGrammar, ChannelGrammar, channel_reasoning
from app.formats.lark import Lark
from app.formats.output_grammar import OutputGrammar, output_grammar
from app.formats.schemas import is_usable, lark_problem
from app.formats.spec import ContentSyntax, FormatSpec, ReasoningSyntax
from app.formats.thinking import Thinking
from app.formats.turns import offered_tools

__all__ = ["binds", "callable_tools", "constraint_for"]


def callable_tools(request: ChatRequest) -> tuple[Tool, ...]:
    """The tools that may be called, of those the model is told of. Raises InvalidRequest for a choice that is none of them."""
    tools = offered_tools(request)
    choice = request.tool_choice
    if isinstance(choice, NamedToolChoice):
        names = choice.names
        known = {tool.name for tool in tools}
        if missing := next((name for name in names if name not in known), None):
            raise InvalidRequest(f"The function '{missing}' of 'tool_choice' is not among 'tools'.", param="tool_choice")
        return tuple(tool for tool in tools if tool.name in names)
    if choice == AutoToolChoice.REQUIRED and not tools:
        raise InvalidRequest("'tool_choice' is 'required', but there are no 'tools'.", param="tool_choice")
    return tools


def binds(request: ChatRequest) -> bool:
    """Whether anything of a request may bind the words of its answer."""
    chooses = request.tool_choice not in (AutoToolChoice.AUTO, AutoToolChoice.NONE)
    return chooses or bool(offered_tools(request)) or not isinstance(request.output, TextFormat)


def constraint_for(request: ChatRequest, spec: FormatSpec, *, thinking: Thinking) -> Constraint | None:
    """Raises InvalidRequest (a schema that is wrong, a tool that was not offered) and UnsupportedContent (no tool calls)."""
    tools = callable_tools(request)
    if _must_call(request):
        return _answer(request, spec, tools, thinking=thinking, words=None)
    words = output_grammar(request.output)
    if words is None:
        return _possible_calls(request, spec, tools, thinking=thinking)
    thinks = spec.reasoning is not None and thinking is not Thinking.OFF
    if (tools and _writes_calls(spec)) or spec.channels or spec.content or thinks:
        return _answer(request, spec, tools if _writes_calls(spec) else (), thinking=thinking, words=words)
    return words.constraint


def _must_call(request: ChatRequest) -> bool:
    choice = request.tool_choice
    return choice.required if isinstance(choice, NamedToolChoice) else choice == AutoToolChoice.REQUIRED


def _writes_calls(spec: FormatSpec) -> bool:
    return spec.tools is not None or spec.channels is not None


def _behind_reasoning(
    answer: str, lark: Lark, reasoning: ReasoningSyntax | None, thinking: Thinking, *, param: str
) -> Constraint:
    """`answer`, as models write it behind their reasoning: after an empty line. A model that may think need not."""
    after = ""
    if reasoning is not None and thinking is Thinking.BEGUN:
        after, answer = reasoning.close, f"{GAP} {answer}"
    elif reasoning is not None and thinking is Thinking.EXPECTED:
        thought = f"({lark.text(reasoning.open)} {lark.text_until('THOUGHT', reasoning.close)} {GAP})?"
        answer = f"{thought} {answer}"
    return Constraint(lark=lark.written(answer), after=after, markers=lark.markers, param=param)


def _answer(
    request: ChatRequest, spec: FormatSpec, tools: tuple[Tool, ...], *, thinking: Thinking, words: OutputGrammar | None
) -> Constraint:
    """Calls of `tools` in the model's own way of writing them, or `words`."""
    param = words.param if words else "tools"
    if problem := _too_many(tools):
        raise InvalidRequest(f"The schemas of 'tools' can't be kept together: {problem}.", param="tools")
    several = request.parallel_tool_calls and not _names_one(request)
    if spec.channels is not None:
        channels = ChannelGrammar(spec, spec.channels, tools)
        answer = channels.lark.rule("answer", words.body) if words else None
        return Constraint(lark=channels.lark.written(channels.answer(answer)), markers=channels.lark.markers, param=param)
    if tools and spec.tools is None:
        raise UnsupportedContent("Hearth knows no tool calls for this model's chat template.", param="tools")
    lark = Lark()
    choices = [CallGrammar(spec.tools, tools, lark).calls(several=several)] if tools and spec.tools else []
    if words is not None:
        choices.append(_with_markers(lark, lark.rule("answer", words.body), spec.content))
    return _behind_reasoning(f"({' | '.join(choices)})", lark, spec.reasoning, thinking, param=param)


def _names_one(request: ChatRequest) -> bool:
    choice = request.tool_choice
    return isinstance(choice, NamedToolChoice) and choice.required and len(choice.names) == 1


def _with_markers(lark: Lark, answer: str, content: ContentSyntax | None) -> str:
    if content is None:
        return answer
    close = f"({lark.text(content.close)})?" if content.close else ""
    return f"({lark.text(content.open)})? {answer} {close}"


def _possible_calls(
    request: ChatRequest, spec: FormatSpec, tools: tuple[Tool, ...], *, thinking: Thinking
) -> Constraint | None:
    """Free text in which every call that the model begins is one of `tools` with arguments of its schema.

    Unless a tool is strict, nobody has asked for a call to be held to its schema here, so a schema that can't be kept leaves
    its arguments free. Raises InvalidRequest for strict ones that can't be kept.
    """
    if not tools:
        return None
    freed = tuple(map(_freed, tools))
    kept = tuple(tool if tool.strict or is_usable(tool) else free for tool, free in zip(tools, freed, strict=True))
    problem = ""
    for offered in dict.fromkeys((kept, freed)):
        if problem := _too_many(offered):
            continue
        constraint = _calls_in_free_text(request, spec, offered, thinking=thinking)
        if constraint is None or not (problem := lark_problem(constraint.lark or "")):
            return constraint
    if any(tool.strict for tool in tools):
        raise InvalidRequest(f"The schemas of 'tools' can't be kept together: {problem}.", param="tools")
    return None


def _freed(tool: Tool) -> Tool:
    return tool if tool.strict else replace(tool, parameters='{"type": "object"}')


def _too_many(tools: tuple[Tool, ...]) -> str:
    """What is too much of the tools' schemas in all; "" for nothing. One grammar has to hold them."""
    n_in_all = sum(n_properties(load_schema(tool.parameters, what="A schema", param="tools")) for tool in tools)
    if n_in_all <= MAX_PROPERTIES_IN_ALL:
        return ""
    return f"they have {n_in_all} properties in all, and at most {MAX_PROPERTIES_IN_ALL} are possible"


def _calls_in_free_text(
    request: ChatRequest, spec: FormatSpec, tools: tuple[Tool, ...], *, thinking: Thinking
) -> Constraint | None:
    """None where the model has no way of calling."""
    reasoning = spec.reasoning
    aside: tuple[str, str] | None
    if spec.channels is not None:
        channels = ChannelGrammar(spec, spec.channels, tools)
        trigger, start, lark = channels.trigger, channels.behind_trigger(), channels.lark
        aside = channel_reasoning(spec.channels)
    elif spec.tools is None:
        return None
    else:
        lark = Lark()
        calls = CallGrammar(spec.tools, tools, lark)
        if spec.tools.at_start:
            answer = f"({calls.calls(several=request.parallel_tool_calls)} | {calls.no_calls()})"
            return _behind_reasoning(answer, lark, reasoning, thinking, param="tools")
        trigger, start = spec.tools.trigger, calls.behind_trigger(several=request.parallel_tool_calls)
        aside = (reasoning.open, reasoning.close) if reasoning else None
    after = reasoning.close if reasoning and thinking is Thinking.BEGUN else ""
    return Constraint(
        lark=lark.written(start), markers=lark.markers, triggers=(trigger,), after=after, aside=aside, param="tools"
    )
