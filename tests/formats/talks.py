"""Requests and pieces that the format tests share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.domain.generation import ChatRequest, ReasoningDelta, TextDelta, Tool, ToolArgumentsDelta, ToolCallStarted
from app.domain.messages import Message, Role, TextPart, ToolCall
from app.domain.prompt import ControlText, Piece, PlainText, PromptSegment
from app.formats.chat_format import ChatFormat
from app.formats.ledger import Delta

__all__ = ["WEATHER", "Answer", "ask", "called", "control", "formatted", "pieces", "plain", "result", "said", "text_of"]

WEATHER = Tool(
    "get_weather",
    "Tells the weather.",
    '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
)


def formatted(source: str | None) -> ChatFormat:
    return ChatFormat.of(source, bos_text="<s>", eos_text="</s>")


def said(role: Role, text: str, **more: Any) -> Message:
    return Message(role, (TextPart(text),) if text else (), **more)


def ask(*messages: Message | str, **options: Any) -> ChatRequest:
    """A request; plain strings are turns of user and assistant, one after the other."""
    turns = [
        turn if isinstance(turn, Message) else Message.of(Role.ASSISTANT if index % 2 else Role.USER, turn)
        for index, turn in enumerate(messages)
    ]
    return ChatRequest("model", tuple(turns), **options)


def called(name: str, arguments: str, call_id: str = "call00001") -> Message:
    return Message(Role.ASSISTANT, tool_calls=(ToolCall(call_id, name, arguments),))


def result(text: str, call_id: str = "call00001") -> Message:
    return Message(Role.TOOL, (TextPart(text),), tool_call_id=call_id)


def text_of(segments: Iterable[PromptSegment]) -> str:
    return "".join(segment.text for segment in segments if isinstance(segment, ControlText | PlainText))


def plain(segments: Iterable[PromptSegment]) -> list[str]:
    return [segment.text for segment in segments if isinstance(segment, PlainText)]


def control(segments: Iterable[PromptSegment]) -> str:
    return "".join(segment.text for segment in segments if isinstance(segment, ControlText))


def pieces(text: str, size: int = 3) -> list[Piece]:
    return [Piece(index, text[index : index + size]) for index in range(0, len(text), size)]


class Answer:
    """What a client would have put together from deltas."""

    def __init__(self, deltas: Iterable[Delta]) -> None:
        self.content = ""
        self.reasoning = ""
        self.names: list[str] = []
        self.ids: list[str] = []
        self.arguments: list[str] = []
        for delta in deltas:
            match delta:
                case TextDelta(text):
                    self.content += text
                case ReasoningDelta(text):
                    self.reasoning += text
                case ToolCallStarted(index, call_id, name):
                    assert index == len(self.names)
                    self.names.append(name)
                    self.ids.append(call_id)
                    self.arguments.append("")
                case ToolArgumentsDelta(index, text):
                    assert index == len(self.names) - 1
                    self.arguments[index] += text
