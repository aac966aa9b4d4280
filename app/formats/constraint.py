"""The grammar of an answer: JSON that was asked for, or tool calls that must be made."""

from __future__ import annotations

import json
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
from app.formats.conversation import offered_tools
from app.formats.spec import TAG, FormatSpec, ToolSyntax
from app.formats.thinking import Thinking

__all__ = ["constraint_for", "schema_of"]

_MAX_SCHEMA_CHARS = 1_000_000
# The spacing that models write by themselves, and the one that can't go astray in blanks.
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_GAP = r"/\n{0,2}/"
_ID = r"/[a-zA-Z0-9]{9}/"


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
        return None
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


class _CallGrammar:
    """Writes the Lark grammar of one syntax."""

    def __init__(self, syntax: ToolSyntax) -> None:
        self._syntax = syntax
        self.markers = tuple(dict.fromkeys(TAG.findall(syntax.open + syntax.close)))

    def lark(self, tools: tuple[Tool, ...], *, several: bool, after: bool, instead: str | None) -> str:
        syntax = self._syntax
        more_listed, more = ('(", " call)*', f"({_text(syntax.between)} section)*") if several else ("", "")
        body = f'"[" call {more_listed} "]"' if syntax.listed else "call"
        opening = f"{self._marked(syntax.open)} {_text(syntax.lead)}"
        closing = f"{_text(syntax.trail)} {self._marked(syntax.close)}"
        rules = [
            "%llguidance {}",
            f"start: {_GAP if after else ''} (calls {'| answer' if instead else ''})",
            f"calls: section {'' if syntax.listed else more}",
            f"section: {opening} {body} {closing}",
            "call: " + " | ".join(f"call_{index}" for index in range(len(tools))),
            *(rule for index, tool in enumerate(tools) for rule in self._call(index, tool)),
            *(f"marker_{index}: {json.dumps(marker)}" for index, marker in enumerate(self.markers)),
        ]
        if instead:
            rules.append(f"answer: %json {json.dumps(json.loads(instead))}")
        return "\n".join(rules) + "\n"

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
    schema = _loaded(tool.parameters, f"The schema of the function '{tool.name}'", "tools")
    complete: dict[str, Any] = {"type": "object", **(schema if isinstance(schema, dict) else {}), "x-guidance": _SPACING}
    text = json.dumps(complete)
    _require_usable(text, f"The schema of the function '{tool.name}'", "tools")
    return text


def _require_usable(schema: str, what: str, param: str) -> None:
    """Raises InvalidRequest with llguidance's explanation."""
    _loaded(schema, what, param)
    limits = llguidance.LLParserLimits(verbose_errors=False)
    try:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
        problem = llguidance.LLMatcher.validate_grammar(grammar, limits=limits)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise InvalidRequest(f"{what} can't be used: {problem.strip().splitlines()[0][:300]}", param=param)


def _loaded(schema: str, what: str, param: str) -> Any:
    if len(schema) > _MAX_SCHEMA_CHARS:
        raise InvalidRequest(f"{what} may have at most {_MAX_SCHEMA_CHARS} characters; it has {len(schema)}.", param=param)
    try:
        value = json.loads(schema)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{what} is not valid JSON: {error}", param=param) from error
    if not isinstance(value, dict | bool):
        raise InvalidRequest(f"{what} must be a JSON object.", param=param)
    return value
