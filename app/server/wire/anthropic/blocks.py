"""Messages as Anthropic writes them, block by block, and the way to the domain's messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from app.domain.errors import InvalidRequest, UnsupportedContent, UnsupportedParameter
from app.domain.messages import ContentPart, ImagePart, ImageUrl, Message, Role, TextPart, ToolCall
from app.server.wire.anthropic.thinking import thoughts_of
from app.server.wire.base import Items, Part
from app.server.wire.pictures import MAX_IMAGES, picture_of_base64, picture_part

__all__ = ["AnthropicMessage", "System", "domain_messages"]

_BREAK = TextPart("\n\n")
# Claude Code begins its rules with a note to whoever charges for the request. It is other with each one, so that nothing behind
# it could be taken from what was computed before, and it is none of the model's business.
_NOTE = re.compile(r"\s*x-anthropic-billing-header:[^\n]*\n*")


class Base64Source(Part):
    """What the file really is counts, not its `media_type`."""

    type: Literal["base64"]
    data: str


class UrlSource(Part):
    type: Literal["url"]
    url: str


class TextSource(Part):
    type: Literal["text"]
    data: str


class OtherPart(Part):
    """What Hearth does not read, to be refused by its name."""

    type: str


def _kind(*known: str) -> Discriminator:
    """One kind is looked at, so that a mistake is told in its words."""

    def kind_of(part: Any) -> str | None:
        kind = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
        return kind if kind in known else "other" if isinstance(kind, str) else None

    return Discriminator(
        kind_of, custom_error_type="block", custom_error_message="Input should be an object with a 'type', which is a text"
    )


# Nothing that the document of this API invites to send.
_Other: TypeAlias = Annotated[OtherPart, Tag("other"), WithJsonSchema({"not": {}})]


class Citations(Part):
    enabled: bool | None = None


class TextBlock(Part):
    type: Literal["text"]
    text: str


class ImageBlock(Part):
    type: Literal["image"]
    source: Annotated[
        Annotated[Base64Source, Tag("base64")] | Annotated[UrlSource, Tag("url")] | _Other, _kind("base64", "url")
    ]


_Text: TypeAlias = Annotated[TextBlock, Tag("text")]
_Image: TypeAlias = Annotated[ImageBlock, Tag("image")]


class ContentSource(Part):
    type: Literal["content"]
    content: str | Items[Annotated[_Text | _Image | _Other, _kind("text", "image")]]


class DocumentBlock(Part):
    type: Literal["document"]
    source: Annotated[
        Annotated[TextSource, Tag("text")] | Annotated[ContentSource, Tag("content")] | _Other, _kind("text", "content")
    ]
    title: str | None = None
    context: str | None = None
    citations: Citations | None = None


class SearchResultBlock(Part):
    type: Literal["search_result"]
    source: str
    title: str
    content: Items[TextBlock]
    citations: Citations | None = None


class ToolReferenceBlock(Part):
    type: Literal["tool_reference"]
    tool_name: str


_Document: TypeAlias = Annotated[DocumentBlock, Tag("document")]
_SearchResult: TypeAlias = Annotated[SearchResultBlock, Tag("search_result")]
_ToolReference: TypeAlias = Annotated[ToolReferenceBlock, Tag("tool_reference")]


class ThinkingBlock(Part):
    type: Literal["thinking"]
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(Part):
    """Nobody but the server that wrote it can read it."""

    type: Literal["redacted_thinking"]


class ToolUseBlock(Part):
    type: Literal["tool_use"]
    id: Annotated[str, Field(min_length=1)]
    name: str
    input: dict[str, Any]


class ToolResultBlock(Part):
    type: Literal["tool_result"]
    tool_use_id: Annotated[str, Field(min_length=1)]
    content: (
        str
        | Items[
            Annotated[
                _Text | _Image | _Document | _SearchResult | _ToolReference | _Other,
                _kind("text", "image", "document", "search_result", "tool_reference"),
            ]
        ]
        | None
    ) = None
    is_error: bool | None = None


_Content: TypeAlias = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock | OtherPart
_Block: TypeAlias = _Content | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | ToolResultBlock
_Thinking: TypeAlias = Annotated[ThinkingBlock, Tag("thinking")] | Annotated[RedactedThinkingBlock, Tag("redacted_thinking")]
_Tool: TypeAlias = Annotated[ToolUseBlock, Tag("tool_use")] | Annotated[ToolResultBlock, Tag("tool_result")]
_TaggedBlock: TypeAlias = Annotated[
    _Text | _Image | _Document | _SearchResult | _Thinking | _Tool | _Other,
    _kind("text", "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use", "tool_result"),
]

System: TypeAlias = str | Items[TextBlock]


class AnthropicMessage(Part):
    role: Literal["user", "assistant", "system"]
    content: str | Items[_TaggedBlock]


def domain_messages(system: System | None, messages: list[AnthropicMessage]) -> tuple[Message, ...]:
    """Raises InvalidRequest and UnsupportedContent, naming the place."""
    rules = [Message(Role.SYSTEM, told)] if system and (told := _rules(system)) else []
    turns = [turn for index, message in enumerate(messages) for turn in _turns(message, f"messages[{index}].content")]
    if sum(turn.n_images for turn in turns) > MAX_IMAGES:
        raise InvalidRequest(f"A request can have at most {MAX_IMAGES} pictures.", param="messages")
    return (*rules, *turns)


def _rules(system: System) -> tuple[ContentPart, ...]:
    texts = [system] if isinstance(system, str) else [block.text for block in system]
    plain = [_NOTE.sub("", text, count=1) if _NOTE.match(text) else text for text in texts]
    return _spaced(TextPart(text) for text in plain if text)


def _turns(message: AnthropicMessage, place: str) -> Iterator[Message]:
    blocks = _as_blocks(message.content)
    match message.role:
        case "system":
            yield Message(Role.SYSTEM, _contents(blocks, place))
        case "user":
            yield from _asked(blocks, place)
        case "assistant":
            yield _answered(blocks, place)


def _asked(blocks: Sequence[_Block], place: str) -> Iterator[Message]:
    """A turn of the user: results of tools are turns of their own."""
    said: list[ContentPart] = []
    for index, block in enumerate(blocks):
        if isinstance(block, ToolResultBlock):
            if said:
                yield Message(Role.USER, _spaced(said))
                said = []
            yield _result(block, f"{place}[{index}]")
        else:
            said += _content(block, f"{place}[{index}]")
    if said or not blocks:
        yield Message(Role.USER, _spaced(said))


def _result(block: ToolResultBlock, place: str) -> Message:
    parts = _contents(_as_blocks(block.content or ""), f"{place}.content")
    failed = (TextPart("Error: "),) if block.is_error else ()
    return Message(Role.TOOL, (*failed, *parts), tool_call_id=block.tool_use_id)


def _answered(blocks: Sequence[_Block], place: str) -> Message:
    """A turn of the assistant. Its texts are put together to the letter: the last one may be gone on with."""
    parts: list[ContentPart] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for index, block in enumerate(blocks):
        match block:
            case ThinkingBlock():
                thoughts.append(thoughts_of(block.thinking, block.signature))
            case RedactedThinkingBlock():
                pass
            case ToolUseBlock():
                calls.append(ToolCall(block.id, block.name, json.dumps(block.input, ensure_ascii=False)))
            case ImageBlock():
                raise InvalidRequest("Pictures stand in turns of the user.", param=f"{place}[{index}]")
            case _:
                parts += _content(block, f"{place}[{index}]")
    reasoning = "\n\n".join(thought for thought in thoughts if thought)
    return Message(Role.ASSISTANT, tuple(parts), reasoning=reasoning, tool_calls=tuple(calls))


def _as_blocks(content: str | Sequence[_Block]) -> Sequence[_Block]:
    return (TextBlock(type="text", text=content),) if isinstance(content, str) else content


def _contents(blocks: Sequence[_Block], place: str) -> tuple[ContentPart, ...]:
    return _spaced(part for index, block in enumerate(blocks) for part in _content(block, f"{place}[{index}]"))


def _spaced(parts: Iterable[ContentPart]) -> tuple[ContentPart, ...]:
    """Texts of their own stay apart."""
    spaced: list[ContentPart] = []
    for part in parts:
        if spaced and isinstance(part, TextPart) and isinstance(spaced[-1], TextPart):
            spaced.append(_BREAK)
        spaced.append(part)
    return tuple(spaced)


def _content(block: _Block, place: str) -> tuple[ContentPart, ...]:
    match block:
        case TextBlock():
            return (TextPart(block.text),)
        case ImageBlock():
            return (_image(block, f"{place}.source"),)
        case DocumentBlock():
            return _document(block, place)
        case SearchResultBlock():
            _refuse_citations(block.citations, place)
            found = "\n".join(part.text for part in block.content)
            lines = ("<search_result>", *_told(source=block.source, title=block.title), found, "</search_result>")
            return (TextPart("\n".join(lines)),)
        case ToolReferenceBlock():
            return (TextPart(f"The tool {block.tool_name} can be called."),)
        case OtherPart():
            raise UnsupportedContent(
                f"Hearth can't read blocks of type '{block.type[:50]}' here. Send text, image, document (plain text), "
                "search_result, thinking, tool_use or tool_result.",
                param=f"{place}.type",
            )
        case _:
            raise InvalidRequest(f"A block of type '{block.type}' can't stand here.", param=f"{place}.type")


def _image(block: ImageBlock, place: str) -> ImagePart | ImageUrl:
    match block.source:
        case Base64Source(data=data):
            return picture_of_base64(data, f"{place}.data")
        case UrlSource(url=url):
            return picture_part(url, None, f"{place}.url")
        case OtherPart(type=kind):
            raise UnsupportedContent(
                f"Hearth keeps no files, and can't read a picture's source of type '{kind[:50]}'. Send the picture itself: "
                "type 'base64'.",
                param=place,
            )


def _document(block: DocumentBlock, place: str) -> tuple[ContentPart, ...]:
    """Between tags that say where it begins and ends."""
    _refuse_citations(block.citations, place)
    opening = "\n".join(("<document>", *_told(title=block.title, context=block.context), ""))
    return (TextPart(opening), *_source(block.source, f"{place}.source"), TextPart("\n</document>"))


def _source(source: TextSource | ContentSource | OtherPart, place: str) -> tuple[ContentPart, ...]:
    match source:
        case TextSource(data=text):
            return (TextPart(text),)
        case ContentSource(content=content):
            return _contents(_as_blocks(content), f"{place}.content")
        case OtherPart(type=kind):
            raise UnsupportedContent(
                f"Hearth can't read documents of type '{kind[:50]}', PDF among them. Send the document's text: type 'text'.",
                param=place,
            )


def _told(**values: str | None) -> Iterator[str]:
    return (f"<{name}>{value}</{name}>" for name, value in values.items() if value)


def _refuse_citations(citations: Citations | None, place: str) -> None:
    if citations is not None and citations.enabled:
        raise UnsupportedParameter("Hearth can't cite. Leave 'citations' out.", param=f"{place}.citations")
