"""From the input items of POST /v1/responses to messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.errors import InvalidRequest, UnsupportedContent
from app.domain.messages import Message
from app.server.wire.messages import WireContentPart, WireFunctionCall, WireMessage, WireToolCall, domain_messages
from app.server.wire.responses.items import (
    CallItem,
    CallOutputItem,
    CompactionItem,
    CustomCallItem,
    ForeignItem,
    InputContent,
    InputItem,
    InputItems,
    ItemBody,
    MessageItem,
    ReasoningItem,
    ReferenceItem,
    picture_url,
    stored_items,
)
from app.server.wire.responses.sealed import unsealed
from app.server.wire.responses.tools import qualified

__all__ = ["messages_of", "unread_parts"]

# As many as a message of a chat may have.
_MOST_CALLS = 128


def messages_of(before: Sequence[ItemBody], items: InputItems, instructions: str | None) -> tuple[Message, ...]:
    """The conversation: instructions, what was said `before` in stored responses, and the new items.

    Raises InvalidRequest and UnsupportedContent, naming the place.
    """
    turns = _Turns()
    if instructions:
        turns.add(WireMessage(role="system", content=instructions), "instructions")
    for item in stored_items(before):
        if not _broken_off(item):
            turns.item(item, "previous_response_id")
    for index, item in enumerate(items):
        turns.item(item, f"input[{index}]")
    turns.end()
    return domain_messages(turns.messages, contents=turns.contents)


@dataclass(slots=True)
class _Turns:
    """Joins the items of one turn of the assistant (its reasoning, its words, its calls), which are one message to a model."""

    messages: list[WireMessage] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    _reasoning: str = ""
    _words: str | list[WireContentPart] | None = None
    _calls: list[WireToolCall] = field(default_factory=list)
    _content: str = ""
    _begun: bool = False

    def add(self, message: WireMessage, content: str) -> None:
        """`content` is what the request calls the message's content."""
        self.end()
        self.messages.append(message)
        self.contents.append(content)

    def item(self, item: InputItem, place: str) -> None:
        match item:
            case MessageItem(role="assistant"):
                self._begin(anew=self._words is not None or bool(self._calls))
                self._content = f"{place}.content"
                self._words = _content(item.content, self._content)
            case MessageItem():
                content = f"{place}.content"
                self.add(WireMessage(role=item.role, content=_content(item.content, content)), content)
            case ReasoningItem():
                self._begin(anew=self._words is not None or bool(self._calls))
                self._reasoning += _thought(item)
            case CallItem():
                self._call(item.call_id, qualified(item.name, item.namespace), item.arguments)
            case CustomCallItem():
                self._call(item.call_id, item.name, json.dumps({"input": item.input}, ensure_ascii=False))
            case CallOutputItem():
                content = f"{place}.output"
                said = _content(item.output, content)
                self.add(WireMessage(role="tool", tool_call_id=item.call_id, content=said), content)
            case _:
                self._other(item, place)

    def end(self) -> None:
        """The assistant's turn is over, if one was begun."""
        if not self._begun:
            return
        self.messages.append(
            WireMessage(
                role="assistant",
                content=self._words,
                reasoning_content=self._reasoning or None,
                tool_calls=self._calls or None,
            )
        )
        self.contents.append(self._content)
        self._reasoning, self._words, self._calls, self._content, self._begun = "", None, [], "", False

    def _other(self, item: CompactionItem | ForeignItem | ReferenceItem, place: str) -> None:
        match item:
            case CompactionItem():
                told = f"What was said before, in short:\n\n{_short(item, place)}"
                self.add(WireMessage(role="system", content=told), place)
            case ForeignItem(type="web_search_call"):
                pass  # It holds what was looked for, not what was found.
            case ForeignItem():
                message = f"Hearth can't read items of type '{item.type[:50]}'. Leave them out of the input."
                raise UnsupportedContent(message, param=f"{place}.type")
            case ReferenceItem():
                raise AssertionError("references are resolved before")

    def _begin(self, *, anew: bool) -> None:
        if anew:
            self.end()
        self._begun = True

    def _call(self, call_id: str, name: str, arguments: str) -> None:
        self._begin(anew=len(self._calls) >= _MOST_CALLS)
        self._calls.append(WireToolCall(id=call_id, function=WireFunctionCall(name=name, arguments=arguments)))


def _broken_off(item: InputItem) -> bool:
    """A call in the midst of which its response ended: nobody can make it, and templates can't write it."""
    if not isinstance(item, CallItem) or item.status != "incomplete":
        return False
    try:
        return not isinstance(json.loads(item.arguments), dict)
    except (ValueError, RecursionError):
        return True


def _thought(item: ReasoningItem) -> str:
    if item.content:
        return "".join(part.text for part in item.content)
    told = unsealed(item.encrypted_content) if item.encrypted_content else None
    return told if told is not None else "\n\n".join(part.text for part in item.summary)


def _short(item: CompactionItem, place: str) -> str:
    text = unsealed(item.encrypted_content)
    if text is None:
        message = "Only the server that made a conversation short can read it again. Send the conversation itself."
        raise UnsupportedContent(message, param=f"{place}.encrypted_content")
    return text


def _content(content: str | list[InputContent], place: str) -> str | list[WireContentPart]:
    if isinstance(content, str):
        return content
    return [_part(part, f"{place}[{index}]") for index, part in enumerate(content)]


def _part(part: InputContent, place: str) -> WireContentPart:
    match part.type:
        case "input_text" | "output_text" | "text" | "summary_text":
            if part.text is None:
                raise InvalidRequest(f"A part of type '{part.type}' needs 'text'.", param=f"{place}.text")
            return WireContentPart(type="text", text=part.text)
        case "input_image" | "image_url" if part.image_url is not None:
            return WireContentPart(type="image_url", image_url=picture_url(part))
        case "input_image" | "input_file" if part.file_id is not None:
            raise UnsupportedContent("Hearth keeps no files. Send the picture itself as 'image_url'.", param=f"{place}.file_id")
        case "input_image":
            raise InvalidRequest("A part of type 'input_image' needs 'image_url'.", param=f"{place}.image_url")
        case "input_file":
            raise UnsupportedContent("Hearth can't read files. Send their text as 'input_text'.", param=place)
        case _:
            return WireContentPart(type=part.type, refusal=part.refusal, input_audio=part.input_audio)


def unread_parts(items: InputItems) -> tuple[str, ...]:
    """What of the items has no effect: reasoning that only the server that made it can read, and searches of the web."""
    names = set()
    for item in items:
        match item:
            case ReasoningItem(encrypted_content=str()) if not _thought(item):
                names.add("input[].encrypted_content")
            case ForeignItem(type="web_search_call"):
                names.add("input[].web_search_call")
            case _:
                pass
    return tuple(sorted(names))
