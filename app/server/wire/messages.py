"""Chat messages as OpenAI writes them, and the way to the domain's messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from app.domain.errors import InvalidRequest, UnsupportedContent
from app.domain.messages import AudioPart, ContentPart, Message, Role, TextPart, ToolCall
from app.server.wire.base import Items, Part
from app.server.wire.pictures import MAX_IMAGES, WireDetail, file_of, picture_part

__all__ = ["MAX_AUDIO_BYTES", "MAX_SOUNDS", "WireMessage", "domain_messages"]

MAX_AUDIO_BYTES = 25 * 1024 * 1024
MAX_SOUNDS = 8


class WireImageUrl(Part):
    url: str
    detail: WireDetail | None = None


class WireInputAudio(Part):
    """`data` is the file in base64. OpenAI knows wav and mp3; what the file really is counts."""

    data: str
    format: Literal["wav", "mp3", "flac"]


class WireContentPart(Part):
    """`image_url` is an object, or the URL itself."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: WireImageUrl | str | None = None
    input_audio: WireInputAudio | None = None


class WireFunctionCall(Part):
    name: str
    arguments: str = ""


class WireToolCall(Part):
    id: str = ""
    type: Literal["function"] = "function"
    function: WireFunctionCall


class WireMessage(Part):
    """`reasoning` is another spelling of `reasoning_content`."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Items[WireContentPart] | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[Items[WireToolCall], Field(max_length=128)] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


def domain_messages(messages: list[WireMessage], contents: Sequence[str] | None = None) -> tuple[Message, ...]:
    """Raises InvalidRequest and UnsupportedContent, naming the place: `contents` is what the request calls each message's
    content."""
    for index, message in enumerate(messages):
        _check(message, f"messages[{index}]")
    named = contents if contents is not None else [f"messages[{index}].content" for index in range(len(messages))]
    converted = tuple(_message(message, place) for message, place in zip(messages, named, strict=True))
    if sum(message.n_images for message in converted) > MAX_IMAGES:
        raise InvalidRequest(f"A request can have at most {MAX_IMAGES} pictures.", param="messages")
    if sum(len(message.sounds) for message in converted) > MAX_SOUNDS:
        raise InvalidRequest(f"A request can have at most {MAX_SOUNDS} sounds.", param="messages")
    return converted


def _message(message: WireMessage, content: str) -> Message:
    assistant = message.role == "assistant"
    return Message(
        role=Role(message.role),
        parts=_parts(message, content),
        reasoning=(message.reasoning_content or message.reasoning or "") if assistant else "",
        tool_calls=tuple(_tool_call(call) for call in message.tool_calls or ()) if assistant else (),
        tool_call_id=message.tool_call_id if message.role == "tool" else None,
        name=message.name,
    )


def _check(message: WireMessage, place: str) -> None:
    if message.role == "tool" and not message.tool_call_id:
        raise InvalidRequest("A tool's message needs the 'tool_call_id' it answers.", param=f"{place}.tool_call_id")
    if message.content is None and message.role != "assistant":
        raise InvalidRequest(f"A {message.role} message needs 'content'.", param=f"{place}.content")


def _parts(message: WireMessage, place: str) -> tuple[ContentPart, ...]:
    if message.content is None:
        return (TextPart(message.refusal),) if message.refusal else ()
    if isinstance(message.content, str):
        return (TextPart(message.content),)
    return tuple(_part(part, f"{place}[{index}]") for index, part in enumerate(message.content))


def _part(part: WireContentPart, place: str) -> ContentPart:
    match part.type:
        case "text" if part.text is not None:
            return TextPart(part.text)
        case "refusal" if part.refusal is not None:
            return TextPart(part.refusal)
        case "image_url" if part.image_url is not None:
            given = WireImageUrl(url=part.image_url) if isinstance(part.image_url, str) else part.image_url
            return picture_part(given.url, given.detail, f"{place}.image_url")
        case "input_audio" if part.input_audio is not None:
            return AudioPart(_audio(part.input_audio.data, f"{place}.input_audio.data"))
        case "text" | "refusal" | "image_url" | "input_audio":
            raise InvalidRequest(f"A part of type '{part.type}' needs '{part.type}'.", param=f"{place}.{part.type}")
        case "file" | "video_url" | "audio_url":
            raise UnsupportedContent(
                f"Hearth can't read parts of type '{part.type}'. Send text, image_url or input_audio.", param=place
            )
        case _:
            raise InvalidRequest(f"'{part.type[:50]}' is no kind of content part.", param=f"{place}.type")


def _audio(data: str, place: str) -> bytes:
    if data[:5].lower() == "data:":
        raise InvalidRequest("A sound is base64 alone, without 'data:' before it.", param=place)
    return file_of(data, place, kind="sound", name="sound", most=MAX_AUDIO_BYTES)


def _tool_call(call: WireToolCall) -> ToolCall:
    return ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
