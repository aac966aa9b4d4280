"""What POST /v1/responses is given to answer: items, as they come and as they are kept."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter

from app.domain.errors import InvalidRequest
from app.server.wire.base import Items, Part
from app.server.wire.messages import WireContentPart, WireImageUrl
from app.server.wire.pictures import WireDetail

__all__ = [
    "CallItem",
    "CallOutputItem",
    "CompactionItem",
    "CustomCallItem",
    "ForeignItem",
    "InputContent",
    "InputItem",
    "InputItems",
    "ItemBody",
    "MessageItem",
    "ReasoningItem",
    "ReferenceItem",
    "WireInput",
    "input_items",
    "item_bodies",
    "picture_url",
    "resolved",
    "stored_items",
]

ItemBody: TypeAlias = dict[str, Any]
_Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class InputContent(WireContentPart):
    """`image_url` is the URL itself; an object, as in chats, is taken too, and so is a chat's `type` of it."""

    file_id: str | None = None
    detail: WireDetail | None = None
    annotations: object = None
    logprobs: object = None


class ReasoningText(Part):
    type: str | None = None
    text: str


class MessageItem(Part):
    type: Literal["message"] | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: str | Items[InputContent]
    id: str | None = None
    status: _Status | None = None
    phase: str | None = None


class CallItem(Part):
    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    namespace: str | None = None
    id: str | None = None
    status: _Status | None = None


class CustomCallItem(Part):
    """A call of a tool that takes free text, made by another server's model."""

    type: Literal["custom_tool_call"]
    call_id: str
    name: str
    input: str
    id: str | None = None
    status: _Status | None = None


class CallOutputItem(Part):
    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: Annotated[str, Field(min_length=1)]
    output: str | Items[InputContent]
    id: str | None = None
    status: _Status | None = None


class ReasoningItem(Part):
    type: Literal["reasoning"]
    summary: Items[ReasoningText] = Field(default_factory=list)
    content: Items[ReasoningText] | None = None
    encrypted_content: str | None = None
    id: str | None = None
    status: _Status | None = None


class CompactionItem(Part):
    """What a conversation came to, made short."""

    type: Literal["compaction"]
    encrypted_content: str
    id: str | None = None


class ReferenceItem(Part):
    """Stands for an item of a stored response's output."""

    type: Literal["item_reference"] | None = None
    id: str


class ForeignItem(Part):
    """Of a kind that has no meaning here; it is passed over or refused as a whole."""

    model_config = ConfigDict(extra="ignore")

    type: str


def _kind(item: Any) -> str:
    kind = item.get("type") if isinstance(item, dict) else "message"
    if kind is None:
        return "message" if "role" in item or "id" not in item else "item_reference"
    return _KINDS.get(str(kind), "foreign")


_KINDS = {
    "message": "message",
    "function_call": "call",
    "custom_tool_call": "custom_call",
    "function_call_output": "call_output",
    "custom_tool_call_output": "call_output",
    "reasoning": "reasoning_item",
    "compaction": "compacted",
    "item_reference": "item_reference",
}

InputItem: TypeAlias = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("call")]
    | Annotated[CustomCallItem, Tag("custom_call")]
    | Annotated[CallOutputItem, Tag("call_output")]
    | Annotated[ReasoningItem, Tag("reasoning_item")]
    | Annotated[CompactionItem, Tag("compacted")]
    | Annotated[ReferenceItem, Tag("item_reference")]
    | Annotated[ForeignItem, Tag("foreign")],
    Discriminator(_kind),
]
InputItems: TypeAlias = Items[InputItem]
WireInput: TypeAlias = str | Annotated[InputItems, Field(max_length=10_000)]

_STORED: TypeAdapter[InputItems] = TypeAdapter(InputItems)


def input_items(given: WireInput | None) -> InputItems:
    return [MessageItem(role="user", content=given)] if isinstance(given, str) else given or []


def stored_items(bodies: Sequence[ItemBody]) -> InputItems:
    """Items that were kept, read again."""
    return _STORED.validate_python(list(bodies))


def resolved(items: InputItems, find: Callable[[str], ItemBody | None]) -> InputItems:
    """The items, each reference replaced by what it stands for. Raises InvalidRequest for one that stands for nothing."""
    return [
        _referred(item, find, f"input[{index}].id") if isinstance(item, ReferenceItem) else item
        for index, item in enumerate(items)
    ]


def _referred(item: ReferenceItem, find: Callable[[str], ItemBody | None], place: str) -> InputItem:
    body = find(item.id)
    if body is None:
        message = f"No stored item has the id '{item.id[:100]}'. Send the item itself: only stored responses keep theirs."
        raise InvalidRequest(message, param=place)
    return stored_items([body])[0]


def item_bodies(items: Iterable[InputItem]) -> tuple[ItemBody, ...]:
    """The items as they are kept and listed: complete, each with an id."""
    return tuple(body for item in items if (body := _item_body(item)) is not None)


def _item_body(item: InputItem) -> ItemBody | None:
    match item:
        case MessageItem():
            content = [_content_body(part, item.role) for part in _parts(item.content)]
            return {**_named(item.id, "msg_", item.status), "type": "message", "role": item.role, "content": content}
        case CallItem():
            namespace = {"namespace": item.namespace} if item.namespace is not None else {}
            call = {"call_id": item.call_id, "name": item.name, "arguments": item.arguments, **namespace}
            return {**_named(item.id, "fc_", item.status), "type": "function_call", **call}
        case CustomCallItem():
            call = {"call_id": item.call_id, "name": item.name, "input": item.input}
            return {"id": item.id or _new("ctc_"), "type": "custom_tool_call", **call}
        case CallOutputItem():
            output = item.output if isinstance(item.output, str) else [_content_body(part, "tool") for part in item.output]
            return {**_named(item.id, "fco_", item.status), "type": item.type, "call_id": item.call_id, "output": output}
        case ReasoningItem():
            return {"id": item.id or _new("rs_"), "type": "reasoning", **_thoughts_body(item)}
        case CompactionItem():
            return {"id": item.id or _new("cmp_"), "type": "compaction", "encrypted_content": item.encrypted_content}
        case _:
            return None


def _named(given: str | None, prefix: str, status: str | None) -> dict[str, Any]:
    return {"id": given or _new(prefix), "status": status or "completed"}


def _new(prefix: str) -> str:
    return f"{prefix}{uuid.uuid4().hex}"


def _parts(content: str | list[InputContent]) -> list[InputContent]:
    return [InputContent(type="text", text=content)] if isinstance(content, str) else content


def _content_body(part: InputContent, role: str) -> Mapping[str, Any]:
    match part.type:
        case "input_text" | "output_text" | "text" | "summary_text" if role == "assistant":
            return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}
        case "input_text" | "output_text" | "text" | "summary_text":
            return {"type": "input_text", "text": part.text}
        case "input_image" | "image_url":
            image = picture_url(part)
            return {"type": "input_image", "image_url": image.url, "detail": image.detail or "auto"}
        case _:
            return part.model_dump(exclude_none=True)


def _thoughts_body(item: ReasoningItem) -> Mapping[str, Any]:
    body: dict[str, Any] = {"summary": [{"type": "summary_text", "text": part.text} for part in item.summary]}
    if item.content is not None:
        body["content"] = [{"type": "reasoning_text", "text": part.text} for part in item.content]
    if item.encrypted_content is not None:
        body["encrypted_content"] = item.encrypted_content
    return body


def picture_url(part: InputContent) -> WireImageUrl:
    if isinstance(part.image_url, WireImageUrl):
        return part.image_url
    assert part.image_url is not None
    return WireImageUrl(url=part.image_url, detail=part.detail)
