"""A request's messages and tools in the shape one template takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from app.domain.errors import InvalidRequest
from app.domain.generation import ChatRequest, NamedToolChoice, Tool
from app.domain.messages import AudioPart, ImagePart, ImageUrl, Message, Role, TextPart, ToolCall
from app.formats.call_writer import write_calls
from app.formats.spec import ToolSyntax
from app.formats.traits import TemplateTraits
from app.formats.turns import begun_turn, offered_tools, turns_of

__all__ = ["Conversation", "Media", "Wording", "texts_of"]

Block = dict[str, Any]
Media: TypeAlias = ImagePart | AudioPart


class Wording(Protocol):
    """How a person's words are written into what the template gets."""

    def content(self, text: str) -> str:
        """Text of a message."""
        ...

    def value(self, text: str) -> str:
        """A key or text of a tool's definition or of a call's arguments."""
        ...

    def picture(self, index: int) -> str:
        """What stands for a picture or sound."""
        ...

    def stop(self) -> str:
        """What stands where the prompt ends, behind an answer to go on with."""
        ...


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a template is rendered with. `pictures`, and sounds among them, are in the order of their indices."""

    messages: list[Block]
    tools: list[Block] | None
    pictures: tuple[Media, ...]

    @classmethod
    def of(
        cls, request: ChatRequest, traits: TemplateTraits, wording: Wording, syntax: ToolSyntax | None = None
    ) -> Conversation:
        """`syntax` is how the model writes calls: what the template does not render of tools is written out by that.

        Raises InvalidRequest for tool calls whose arguments the template can't take.
        """
        turns = turns_of(request, traits, syntax)
        names = {call.id: call.name for turn in turns for call in turn.tool_calls}
        pictures: list[Media] = []
        writer = _Writer(traits, wording, names, pictures, syntax)
        messages = [writer.message(turn) for turn in turns]
        if begun := begun_turn(request):
            key = "content" if begun.text or traits.reasoning_parts else traits.reasoning_key
            messages[-1][key] = _followed(messages[-1].get(key) or "", wording.stop())
        if traits.alternates or (not traits.results and any(turn.role is Role.TOOL for turn in turns)):
            messages = _joined(messages)
        tools = [writer.tool(tool) for tool in offered_tools(request)]
        return cls(messages, tools or traits.no_tools, tuple(pictures))


def texts_of(request: ChatRequest) -> Iterator[str]:
    """Every text of a request that can reach the prompt."""
    for message in request.messages:
        yield from (part.text for part in message.parts if isinstance(part, TextPart))
        yield from (message.reasoning, message.name or "", message.tool_call_id or "")
        for call in message.tool_calls:
            yield from (call.id, call.name, call.arguments)
            # Escapes in JSON become the characters themselves where a template wants an object.
            if "\\u" in call.arguments:
                yield json.dumps(_loads(call.arguments), ensure_ascii=False)
    for tool in request.tools:
        yield from (tool.name, tool.description, tool.parameters)
        if "\\u" in tool.parameters:
            yield json.dumps(_loads(tool.parameters), ensure_ascii=False)
    yield json.dumps(request.template_args, ensure_ascii=False, default=str)
    if isinstance(request.tool_choice, NamedToolChoice):
        yield from request.tool_choice.names


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _joined(messages: list[Block]) -> list[Block]:
    """Neighbouring turns of one role made one, but those of calls."""
    joined: list[Block] = []
    for message in messages:
        last = joined[-1] if joined else None
        is_same = last and last["role"] == message["role"] and message["role"] != Role.TOOL.value
        if last and is_same and not last.get("tool_calls") and not message.get("tool_calls"):
            joined[-1] = {**last, "content": _appended(last["content"], message["content"], "\n\n")}
        else:
            joined.append(message)
    return joined


def _appended(first: str | list[Block], second: str | list[Block], between: str) -> str | list[Block]:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}{between}{second}" if first and second else first or second
    as_parts = [content if isinstance(content, list) else [{"type": "text", "text": content}] for content in (first, second)]
    return [*as_parts[0], {"type": "text", "text": between}, *as_parts[1]]


def _followed(content: str | list[Block], sign: str) -> str | list[Block]:
    if isinstance(content, str):
        return content + sign
    last = content[-1]
    return [*content[:-1], {**last, last["type"]: last[last["type"]] + sign}]


class _Writer:
    """Writes one request; `pictures` fills up on the way."""

    def __init__(
        self,
        traits: TemplateTraits,
        wording: Wording,
        names: dict[str, str],
        pictures: list[Media],
        syntax: ToolSyntax | None,
    ) -> None:
        self._syntax = syntax
        self._last_called = "function"
        self._traits = traits
        self._wording = wording
        self._names = names
        self._pictures = pictures

    def message(self, message: Message) -> Block:
        role = message.role
        if role is Role.DEVELOPER and not self._traits.developer:
            role = Role.SYSTEM
        if role is Role.TOOL and not self._traits.results:
            return self._result(message)
        block: Block = {"role": role.value, "content": self._content(message)}
        if name := self._name(message):
            block["name"] = self._wording.value(name)
        if message.reasoning:
            block |= self._reasoning(message, block["content"])
        if message.tool_call_id is not None:
            block["tool_call_id"] = self._wording.value(message.tool_call_id)
        return self._with_calls(block, message) if message.tool_calls else block

    def _reasoning(self, message: Message, content: str | list[Block]) -> Block:
        key, reasoning = self._traits.reasoning_key, self._wording.content(message.reasoning)
        if self._traits.reasoning_parts:
            words = [{"type": "text", "text": content}] if isinstance(content, str) else content
            return {"content": [{"type": key, key: reasoning}, *(words if content else [])]}
        # gpt-oss takes only one of both beside a call.
        return {} if key == "thinking" and message.tool_calls and message.parts else {key: reasoning}

    def _name(self, message: Message) -> str | None:
        """Of a result, the function's; some templates can't do without, whatever the ids are."""
        if message.role is not Role.TOOL:
            return message.name
        return message.name or self._names.get(message.tool_call_id or "") or self._last_called

    def _with_calls(self, block: Block, message: Message) -> Block:
        self._last_called = message.tool_calls[-1].name
        if not self._traits.calls and self._syntax is not None:
            written = write_calls(self._syntax, map(self._plain_call, message.tool_calls))
            return {**block, "content": _appended(block["content"], written, "\n")}
        content = None if self._traits.null_content and not block["content"] else block["content"]
        return {**block, "content": content, "tool_calls": [self._call(call) for call in message.tool_calls]}

    def _result(self, message: Message) -> Block:
        """As a turn of the user."""
        content = self._content(message)
        inside = content if isinstance(content, list) else [{"type": "text", "text": content}]
        parts = [{"type": "text", "text": "<tool_response>\n"}, *inside, {"type": "text", "text": "\n</tool_response>"}]
        only_text = self._traits.strings and all(part["type"] == "text" for part in parts)
        return {"role": Role.USER.value, "content": "".join(part["text"] for part in parts) if only_text else parts}

    def _plain_call(self, call: ToolCall) -> ToolCall:
        """A call whose words are written by `wording`, so that they can be told from the markers around them."""
        arguments = _loads(call.arguments or "{}")
        if not isinstance(arguments, dict):
            raise _no_object(call)
        written = json.dumps(self._values(arguments), ensure_ascii=False)
        return ToolCall(self._wording.value(call.id), self._wording.value(call.name), written)

    def tool(self, tool: Tool) -> Block:
        parameters = _loads(tool.parameters)
        if not self._traits.bare_tools:
            parameters = _described(parameters)
        function = {"name": tool.name, "description": tool.description, "parameters": parameters}
        return {"type": "function", "function": self._values(function)}

    def _call(self, call: ToolCall) -> Block:
        arguments: Any = call.arguments or "{}"
        if self._traits.argument_objects:
            arguments = _loads(arguments)
            if not isinstance(arguments, dict):
                raise _no_object(call)
        function = {"name": self._wording.value(call.name), "arguments": self._values(arguments)}
        return {"id": self._wording.value(call.id), "type": "function", "function": function}

    def _values(self, value: Any) -> Any:
        match value:
            case str():
                return self._wording.value(value)
            case dict():
                return {self._wording.value(key): self._values(item) for key, item in value.items()}
            case list():
                return [self._values(item) for item in value]
            case _:
                return value

    def _content(self, message: Message) -> str | list[Block]:
        texts: list[str] = []
        gathered = ""
        for part in message.parts:
            match part:
                case TextPart(text):
                    gathered += text
                case ImagePart() | AudioPart():
                    texts += [self._wording.content(gathered), self._wording.picture(len(self._pictures))]
                    self._pictures.append(part)
                    gathered = ""
                case ImageUrl(param=param):
                    raise InvalidRequest("URLs are not fetched here. Send the picture itself as a data: URL.", param=param)
        texts.append(self._wording.content(gathered))
        as_parts = self._traits.parts and (len(texts) > 1 or not self._traits.strings)
        return [{"type": "text", "text": text} for text in texts if text] if as_parts else "".join(texts)


def _described(parameters: Any) -> Any:
    """A tool's schema with what JSON Schema leaves open."""
    if not isinstance(parameters, dict):
        parameters = {}
    properties = parameters.get("properties")
    given = properties.items() if isinstance(properties, dict) else ()
    described = {name: {"description": "", **schema} for name, schema in given if isinstance(schema, dict)}
    return {"type": "object", "required": [], **parameters, "properties": described}


def _no_object(call: ToolCall) -> InvalidRequest:
    return InvalidRequest(
        f"The arguments of the tool call '{call.id}' are not a JSON object, as this model needs them.", param="messages"
    )
