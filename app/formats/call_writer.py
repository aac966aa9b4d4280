"""Tool calls written as a model writes them: for turns of the past that its template does not write itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from app.domain.generation import Tool
from app.domain.messages import ToolCall
from app.formats.argument_kinds import json_type
from app.formats.spec import (
    FormatSpec,
    JsonArguments,
    JsonCall,
    LiteralArguments,
    NamedCall,
    TaggedArguments,
    ToolSyntax,
)

__all__ = ["introduction", "write_answer", "write_calls"]

_INTRODUCTION = """\
You can call functions. Call one whenever it helps to answer; you are given its result then. To call functions, write this and \
nothing after it, with a function's name and its arguments in place of the example's:
{example}

The functions, with their parameters as JSON Schema:
{functions}"""
_EXAMPLE = ToolCall("call00001", "function_name", '{"parameter_name": "value"}')


def introduction(tools: Iterable[Tool], syntax: ToolSyntax) -> str:
    """What a model is told of tools whose template has no words for them."""
    functions = ({"name": tool.name, "description": tool.description, "parameters": _loaded(tool.parameters)} for tool in tools)
    return _INTRODUCTION.format(
        example=write_calls(syntax, [_EXAMPLE]).strip(), functions="\n".join(_dumped(function) for function in functions)
    )


def write_answer(spec: FormatSpec, call: ToolCall) -> str:
    """An answer of one call, less what ends answers; "" where the format has no calls."""
    body = write_calls(spec.tools, [call]) if spec.tools else ""
    if (channels := spec.channels) is None:
        return body
    return f"{channels.call_header.replace('{name}', call.name)}{channels.message}{body or call.arguments}"


def write_calls(syntax: ToolSyntax, calls: Iterable[ToolCall]) -> str:
    """Arguments that are no JSON object stand as the text that they are, where the syntax lets them."""
    written = (_call(syntax.call, call, index) for index, call in enumerate(calls))
    return f"{syntax.open}{syntax.between.join(written)}{syntax.close}"


def _loaded(parameters: str) -> Any:
    try:
        return json.loads(parameters)
    except ValueError:
        return {}


def _call(syntax: JsonCall | NamedCall, call: ToolCall, index: int) -> str:
    match syntax:
        case JsonCall():
            return f"{syntax.open}{_json_call(syntax, call)}{syntax.close}"
        case NamedCall():
            id_first = call.id + syntax.id_first if syntax.id_first else ""
            call_id = syntax.id_open + call.id if syntax.id_open else ""
            number = f"{syntax.numbered}{index + syntax.first_number}" if syntax.numbered else ""
            return (
                f"{syntax.open}{id_first}{call.name}{call_id}{number}{syntax.name_end}{_arguments(syntax, call)}{syntax.close}"
            )


def _json_call(syntax: JsonCall, call: ToolCall) -> str:
    arguments = call.arguments.strip() or "{}"
    if not syntax.name_key:
        return f"{{{_dumped(call.name)}: {arguments}}}"
    body = f"{_dumped(syntax.name_key)}: {_dumped(call.name)}, {_dumped(syntax.arguments_key)}: {arguments}"
    if syntax.id_key is None:
        return f"{{{body}}}"
    call_id = f"{_dumped(syntax.id_key)}: {_dumped(call.id)}"
    return f"{{{call_id}, {body}}}" if syntax.id_leads else f"{{{body}, {call_id}}}"


def _arguments(syntax: NamedCall, call: ToolCall) -> str:
    text = call.arguments.strip() or "{}"
    if isinstance(syntax.arguments, JsonArguments):
        return text
    value = json.loads(text)
    if not isinstance(value, dict):
        return text
    match syntax.arguments:
        case TaggedArguments() as tagged:
            return tagged.between.join(_passage(tagged, name, item) for name, item in value.items())
        case LiteralArguments("python"):
            return ", ".join(f"{name}={item!r}" for name, item in value.items())
        case LiteralArguments():
            return ",".join(f"{name}:{_gemma(item)}" for name, item in value.items())


def _passage(syntax: TaggedArguments, name: str, value: Any) -> str:
    is_text = isinstance(value, str)
    json_end = syntax.json_name_end.replace("{type}", json_type(value).replace("integer", "number"))
    name_end = syntax.name_end if is_text or not json_end else json_end
    close_end = name + syntax.close_end if syntax.close_end else ""
    return f"{syntax.open}{name}{name_end}{value if is_text else _dumped(value)}{syntax.close}{close_end}"


def _gemma(value: Any) -> str:
    match value:
        case str():
            return f'<|"|>{value}<|"|>'
        case Mapping():
            return "{" + ",".join(f"{key}:{_gemma(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ",".join(_gemma(item) for item in value) + "]"
        case _:
            return _dumped(value)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
