"""A request's messages and tools in the shape one template takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from app.domain.errors import InvalidRequest
from app.domain.generation import AutoToolChoice, ChatRequest, NamedToolChoice, Tool
from app.domain.messages import AudioPart, ImagePart, Message, Role, TextPart, ToolCall
from app.formats.call_writer import introduction, write_calls
from app.formats.spec import ToolSyntax
from app.formats.traits import TemplateTraits

__all__ = ["Conversation", "Media", "Wording", "offered_tools", "texts_of"]

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
        turns = _folded(_introduced(request, traits, syntax), traits)
        names = {call.id: call.name for turn in turns for call in turn.tool_calls}
        pictures: list[Media] = []
        writer = _Writer(traits, wording, names, pictures, syntax)
        messages = [writer.message(turn) for turn in turns]
        if not traits.results and any(turn.role is Role.TOOL for turn in turns):
            messages = _joined(messages)
        tools = [writer.tool(tool) for tool in offered_tools(request)]
        return cls(messages, tools or traits.no_tools, tuple(pictures))


def offered_tools(request: ChatRequest) -> tuple[Tool, ...]:
    """The tools the model is told of: with `tool_choice` none, none of them."""
    return () if request.tool_choice == AutoToolChoice.NONE else request.tools


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


def _folded(messages: tuple[Message, ...], traits: TemplateTraits) -> tuple[Message, ...]:
    """The messages with the roles that the template knows."""
    if traits.system:
        return messages
    leading = 0
    while leading < len(messages) and messages[leading].role in (Role.SYSTEM, Role.DEVELOPER):
        leading += 1
    first = next((index for index in range(leading, len(messages)) if messages[index].role is Role.USER), None)
    if not leading:
        return messages
    rules = tuple(part for message in messages[:leading] for part in (*message.parts, TextPart("\n\n")))
    if first is None:
        return (Message(Role.USER, rules[:-1]), *messages[leading:])
    user = messages[first]
    return (*messages[leading:first], Message(Role.USER, (*rules, *user.parts), name=user.name), *messages[first + 1 :])


def _introduced(request: ChatRequest, traits: TemplateTraits, syntax: ToolSyntax | None) -> tuple[Message, ...]:
    """The messages with a word about the tools, where the template has none for them."""
    tools = offered_tools(request)
    if not tools or traits.tools or syntax is None:
        return request.messages
    rules = TextPart(introduction(tools, syntax))
    first, *rest = request.messages
    if first.role in (Role.SYSTEM, Role.DEVELOPER):
        return (replace(first, parts=(*first.parts, TextPart("\n\n"), rules)), *rest)
    return (Message(Role.SYSTEM, (rules,)), *request.messages)


def _joined(messages: list[Block]) -> list[Block]:
    """Neighbouring turns of the user made one: results stand among them, and many templates want turns to alternate."""
    joined: list[Block] = []
    for message in messages:
        last = joined[-1] if joined else None
        if last and last["role"] == message["role"] == Role.USER.value:
            joined[-1] = {**last, "content": _appended(last["content"], message["content"])}
        else:
            joined.append(message)
    return joined


def _appended(first: str | list[Block], second: str | list[Block]) -> str | list[Block]:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n{second}" if first and second else first or second
    as_parts = [content if isinstance(content, list) else [{"type": "text", "text": content}] for content in (first, second)]
    return [*as_parts[0], {"type": "text", "text": "\n"}, *as_parts[1]]


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
        name = message.name or self._names.get(message.tool_call_id or "")
        if name:
            block["name"] = self._wording.value(name)
        if message.reasoning and not (message.tool_calls and message.parts and self._traits.reasoning_key == "thinking"):
            # gpt-oss takes only one of both beside a call.
            block[self._traits.reasoning_key] = self._wording.content(message.reasoning)
        if message.tool_call_id is not None:
            block["tool_call_id"] = self._wording.value(message.tool_call_id)
        if message.tool_calls and not self._traits.calls and self._syntax is not None:
            block["content"] = _appended(block["content"], write_calls(self._syntax, map(self._plain_call, message.tool_calls)))
        elif message.tool_calls:
            block["tool_calls"] = [self._call(call) for call in message.tool_calls]
            if self._traits.null_content and not message.parts:
                block["content"] = None
        return block

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
        function = {"name": tool.name, "description": tool.description, "parameters": _loads(tool.parameters)}
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
        texts.append(self._wording.content(gathered))
        as_parts = self._traits.parts and (len(texts) > 1 or not self._traits.strings)
        return [{"type": "text", "text": text} for text in texts if text] if as_parts else "".join(texts)


def _no_object(call: ToolCall) -> InvalidRequest:
    return InvalidRequest(
        f"The arguments of the tool call '{call.id}' are not a JSON object, as this model needs them.", param="messages"
    )
