"""Our own file of conversations: JSON, pictures included."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from app.chats.exchange.archive import ArchivedConversation, ArchivedMessage
from app.chats.records import MessageState, NewPicture
from app.domain.generation import FinishReason, Timings, Usage
from app.domain.messages import Role

__all__ = ["FORMAT", "read_native", "to_json"]

FORMAT: Final = "hearth-conversations"
_VERSION: Final = 1


def to_json(conversations: Iterable[ArchivedConversation]) -> str:
    """Everything there is of them; `read_native` reads it again."""
    body = {"format": FORMAT, "version": _VERSION, "conversations": [_conversation(one) for one in conversations]}
    return json.dumps(body, ensure_ascii=False, indent=1)


def read_native(content: dict[str, Any]) -> list[ArchivedConversation]:
    """Raises ValueError, KeyError, TypeError for a file that this version did not write."""
    if content["version"] > _VERSION:
        raise ValueError("A newer version of Hearth wrote this file. Update Hearth.")
    return [_archived(one) for one in content["conversations"]]


def _conversation(one: ArchivedConversation) -> dict[str, Any]:
    return {
        "id": one.id,
        "title": one.title,
        "has_own_title": one.has_own_title,
        "model": one.model,
        "created": one.created.isoformat(),
        "updated": one.updated.isoformat(),
        "messages": [_message(message) for message in one.messages],
    }


def _message(one: ArchivedMessage) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": one.id,
        "parent": one.parent_id,
        "chosen": one.chosen,
        "role": one.role.value,
        "created": one.created.isoformat(),
        "state": one.state.value,
        "text": one.text,
        "reasoning": one.reasoning,
        "model": one.model,
        "error": one.error,
        "finish_reason": one.finish_reason.value if one.finish_reason else None,
        "usage": asdict(one.usage) if one.usage else None,
        "timings": asdict(one.timings) if one.timings else None,
        "pictures": [{"name": p.name, "data": base64.b64encode(p.data).decode()} for p in one.pictures],
    }
    return {name: value for name, value in body.items() if value not in ("", None, [])} | {"text": one.text}


def _archived(body: dict[str, Any]) -> ArchivedConversation:
    return ArchivedConversation(
        id=str(body["id"]),
        title=str(body["title"]),
        has_own_title=bool(body.get("has_own_title")),
        model=str(body.get("model", "")),
        created=_time(body["created"]),
        updated=_time(body["updated"]),
        messages=tuple(_archived_message(one) for one in body["messages"]),
    )


def _archived_message(body: dict[str, Any]) -> ArchivedMessage:
    return ArchivedMessage(
        id=str(body["id"]),
        parent_id=body.get("parent"),
        chosen=bool(body.get("chosen", False)),
        role=Role(body["role"]),
        created=_time(body["created"]),
        state=MessageState(body.get("state", "complete")),
        text=str(body["text"]),
        reasoning=str(body.get("reasoning", "")),
        model=str(body.get("model", "")),
        error=str(body.get("error", "")),
        finish_reason=FinishReason(body["finish_reason"]) if body.get("finish_reason") else None,
        usage=Usage(**body["usage"]) if body.get("usage") else None,
        timings=Timings(**body["timings"]) if body.get("timings") else None,
        pictures=tuple(NewPicture(_bytes(one["data"]), str(one.get("name", ""))) for one in body.get("pictures", ())),
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"'{text}' has no time zone")
    return time


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("a picture is no base64") from error
