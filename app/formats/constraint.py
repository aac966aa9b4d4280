"""The grammar of an answer: JSON that was asked for, tool calls that must be made, and how calls look that may be made."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import llguidance

from app.domain.errors import InvalidRequest, UnsupportedContent
from app.domain.generation import (
    AutoToolChoice,
    ChatRequest,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedToolChoice,
    OutputFormat,
    TextFormat,
    Tool,
)
from app.domain.prompt import Constraint
from app.domain.schema import GRAMMAR_LIMITS, load_schema
from app.formats.conversation import offered_tools
from app.formats.spec import TAG, FormatSpec, ToolSyntax
from app.formats.thinking import Thinking

__all__ = ["constraint_for", "schema_of"]

# The spacing that models write by themselves, and the one that can't go astray in blanks.
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_GAP = r"/\n{0,2}/"
_ID = r"/[a-zA-Z0-9]{9}/"
# Of grammars that have been looked at.
_LONGEST_KEPT = 50_000
_MORE_LISTED = '(", " call)*'


def constraint_for(request: ChatRequest, spec: FormatSpec, *, thinking: Thinking) -> Constraint | None:
    """Raises InvalidRequest (a schema that is wrong, a tool that was not offered) and UnsupportedContent (no tool calls)."""
    tools = offered_tools(request)
    after = spec.reasoning.close if spec.reasoning and thinking is not Thinking.OFF else ""
    match request.tool_choice:
        case NamedToolChoice(name):
            chosen = tuple(tool for tool in tools if tool.name == name)
            if not chosen:
                raise InvalidRequest(f"The function '{name}' of 'tool_choice' is not among 'tools'.", param="tool_choice")
            return _calls(chosen, spec.tools, several=False, after=after)
        case AutoToolChoice.REQUIRED:
            if not tools:
                raise InvalidRequest("'tool_choice' is 'required', but there are no 'tools'.", param="tool_choice")
            return _calls(tools, spec.tools, several=request.parallel_tool_calls, after=after)
        case _:
            schema = schema_of(request.output)
    if schema is None:
        return _possible_calls(tools, spec, thinking=thinking)
    if tools and spec.tools:
        return _calls(tools, spec.tools, several=request.parallel_tool_calls, after=after, instead=schema)
    if after:
        return Constraint(lark=_after_reasoning(schema), after=after)
    return Constraint(json_schema=schema)


def _after_reasoning(schema: str) -> str:
    """JSON that follows the reasoning as models write it: after an empty line."""
    loaded = json.loads(schema)
    if isinstance(loaded, dict):
        loaded = {**loaded, "x-guidance": {"whitespace_pattern": r"[ \n\t]{1,24}"}}
    return f"%llguidance {{}}\nstart: {_GAP} answer\nanswer: %json {json.dumps(loaded)}\n"


def schema_of(output: OutputFormat) -> str | None:
    """The JSON Schema an answer must conform to; None for free text. Raises InvalidRequest for one that can't be used."""
    match output:
        case TextFormat():
            return None
        case JsonObjectFormat():
            return '{"type": "object"}'
        case JsonSchemaFormat(schema=schema):
            _require_usable(schema, "The schema", "response_format")
            return schema


def _calls(
    tools: tuple[Tool, ...], syntax: ToolSyntax | None, *, several: bool, after: str, instead: str | None = None
) -> Constraint:
    """Calls of `tools` in the model's own way of writing them; `instead` is a schema for an answer without calls."""
    if syntax is None:
        raise UnsupportedContent("Hearth knows no tool calls for this model's chat template.", param="tools")
    writer = _CallGrammar(syntax)
    return Constraint(
        lark=writer.lark(tools, several=several, after=bool(after), instead=instead), after=after, markers=writer.markers
    )


def _possible_calls(tools: tuple[Tool, ...], spec: FormatSpec, *, thinking: Thinking) -> Constraint | None:
    """Free text in which every call that the model begins is one of `tools` with arguments of its schema.

    Nobody has asked for a call to be held to its schema here, so a schema that can't be kept leaves its arguments free.
    """
    if not tools or spec.tools is None or not spec.tools.open:
        return None
    writer = _CallGrammar(spec.tools)
    usable = tuple(tool if _is_usable(tool) else replace(tool, parameters='{"type": "object"}') for tool in tools)
    lark = writer.lark_behind_opening(usable)
    if _problem_of(llguidance.LLMatcher.grammar_from_lark(lark)):
        return None
    reasoning = spec.reasoning
    return Constraint(
        lark=lark,
        markers=writer.markers,
        triggers=(spec.tools.open,),
        after=reasoning.close if reasoning and thinking is Thinking.BEGUN else "",
        aside=(reasoning.open, reasoning.close) if reasoning else None,
    )


class _CallGrammar:
    """Writes the Lark grammar of one syntax."""

    def __init__(self, syntax: ToolSyntax) -> None:
        self._syntax = syntax
        self.markers = tuple(dict.fromkeys(TAG.findall(syntax.open + syntax.close)))

    def lark(self, tools: tuple[Tool, ...], *, several: bool, after: bool, instead: str | None) -> str:
        syntax = self._syntax
        more = f"({_text(syntax.between)} section)*" if several and not syntax.listed else ""
        rules = [
            f"start: {_GAP if after else ''} (calls {'| answer' if instead else ''})",
            f"calls: section {more}",
            f"section: {self._marked(syntax.open)} {self._behind_opening(several=several)}",
        ]
        if instead:
            rules.append(f"answer: %json {json.dumps(json.loads(instead))}")
        return self._written(rules, tools)

    def lark_behind_opening(self, tools: tuple[Tool, ...]) -> str:
        """What follows the opening marker of one section."""
        return self._written([f"start: {self._behind_opening(several=True)}"], tools)

    def _written(self, rules: list[str], tools: tuple[Tool, ...]) -> str:
        complete = [
            "%llguidance {}",
            *rules,
            "call: " + " | ".join(f"call_{index}" for index in range(len(tools))),
            *(rule for index, tool in enumerate(tools) for rule in self._call(index, tool)),
            *(f"marker_{index}: {json.dumps(marker)}" for index, marker in enumerate(self.markers)),
        ]
        return "\n".join(complete) + "\n"

    def _behind_opening(self, *, several: bool) -> str:
        syntax = self._syntax
        body = f'"[" call {_MORE_LISTED if several else ""} "]"' if syntax.listed else "call"
        return f"{_text(syntax.lead)} {body} {_text(syntax.trail)} {self._marked(syntax.close)}"

    def _marked(self, text: str) -> str:
        """A marker's text, in which each tag has a rule of its own: it may be one special token."""
        found = [*TAG.findall(text), ""]
        words = (f"{_text(between)} {self._rule(tag)}" for between, tag in zip(TAG.split(text), found, strict=True))
        return " ".join(words)

    def _rule(self, marker: str) -> str:
        return f"marker_{self.markers.index(marker)}" if marker else ""

    def _call(self, index: int, tool: Tool) -> list[str]:
        """The rules of one function's call."""
        syntax = self._syntax
        head = f"{{{json.dumps(syntax.name_key)}: {json.dumps(tool.name)}, {json.dumps(syntax.arguments_key)}: "
        call_id = (
            f"{_text(f', {json.dumps(syntax.id_key)}: ')} {_text(chr(34))} {_ID} {_text(chr(34))}" if syntax.id_key else ""
        )
        return [
            f'call_{index}: {_text(head)} arguments_{index} {call_id} "}}"',
            f"arguments_{index}: %json {_parameters(tool)}",
        ]


def _text(text: str) -> str:
    """A Lark string; nothing for no text, which Lark does not take."""
    return json.dumps(text) if text else ""


def _parameters(tool: Tool) -> str:
    """The schema of a call's arguments. Raises InvalidRequest."""
    schema = load_schema(tool.parameters, what=f"The schema of the function '{tool.name}'", param="tools")
    complete: dict[str, Any] = {"type": "object", **(schema if isinstance(schema, dict) else {}), "x-guidance": _SPACING}
    text = json.dumps(complete)
    _require_usable(text, f"The schema of the function '{tool.name}'", "tools")
    return text


def _is_usable(tool: Tool) -> bool:
    try:
        _parameters(tool)
    except InvalidRequest:
        return False
    return True


def _require_usable(schema: str, what: str, param: str) -> None:
    """Raises InvalidRequest with llguidance's explanation."""
    load_schema(schema, what=what, param=param)
    try:
        problem = _problem_of(llguidance.LLMatcher.grammar_from_json_schema(schema))
    except ValueError as error:
        problem = str(error)
    if problem:
        raise InvalidRequest(f"{what} can't be used: {problem.strip().splitlines()[0][:300]}", param=param)


def _problem_of(grammar: str) -> str:
    """What llguidance says against a grammar; "" for nothing. Clients send the same tools with every request."""
    return _found_before(grammar) if len(grammar) <= _LONGEST_KEPT else _found(grammar)


def _found(grammar: str) -> str:
    return str(llguidance.LLMatcher.validate_grammar(grammar, limits=llguidance.LLParserLimits(**GRAMMAR_LIMITS)))


_found_before = lru_cache(maxsize=128)(_found)
