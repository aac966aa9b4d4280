"""ChatGPT's data export: `conversations.json`, alone or in the archive it came in.

A conversation is a tree, `mapping`, whose nodes may be empty, hidden, or hold what tools said; `current_node` is the end of
what was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from app.chats.exchange.archive import ArchivedConversation, ArchivedMessage, id_from, text_of, time_of, upwards
from app.chats.records import NewPicture
from app.domain.messages import Role

__all__ = ["Asset", "read_chatgpt"]

Asset: TypeAlias = Callable[[str], bytes | None]
"""The bytes of a picture by its id, None if the export lacks it."""

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}


def read_chatgpt(content: dict[str, Any], asset: Asset) -> ArchivedConversation:
    """One conversation. Raises KeyError, TypeError, AttributeError for what is none."""
    mapping: dict[str, dict[str, Any]] = content["mapping"]
    conversation_id = id_from("chatgpt", str(content.get("conversation_id") or content.get("id") or content["create_time"]))
    shown = set(upwards(mapping, content.get("current_node"), "parent"))
    messages: list[ArchivedMessage] = []
    kept: dict[str, str] = {}
    for node_id in _downwards(mapping):
        message = mapping[node_id].get("message") or {}
        role = _ROLES.get((message.get("author") or {}).get("role", ""))
        parts = _parts(message.get("content") or {})
        text = text_of(parts, lambda part: part if isinstance(part, str) else "")
        pictures = tuple(_pictures(parts, asset))
        hidden = (message.get("metadata") or {}).get("is_visually_hidden_from_conversation", False)
        if role is None or hidden or not (text or pictures) or message.get("recipient", "all") != "all":
            continue
        above = next((kept[one] for one in upwards(mapping, mapping[node_id].get("parent"), "parent") if one in kept), None)
        kept[node_id] = id_from("chatgpt", conversation_id, node_id)
        messages.append(
            ArchivedMessage(
                id=kept[node_id],
                parent_id=above,
                role=role,
                text=text,
                created=time_of(message.get("create_time") or content.get("create_time")),
                chosen=node_id in shown,
                model=str((message.get("metadata") or {}).get("model_slug") or "") if role is Role.ASSISTANT else "",
                pictures=pictures,
            )
        )
    created = time_of(content.get("create_time"))
    return ArchivedConversation(
        id=conversation_id,
        title=str(content.get("title") or ""),
        model="",
        created=created,
        updated=max(time_of(content.get("update_time")), created),
        messages=tuple(messages),
        has_own_title=True,
    )


def _downwards(mapping: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Every node, after its parent."""
    waiting = [node_id for node_id, node in reversed(mapping.items()) if node.get("parent") not in mapping]
    seen = set()
    while waiting:
        node_id = waiting.pop()
        if node_id not in seen and node_id in mapping:
            seen.add(node_id)
            yield node_id
            waiting.extend(reversed(mapping[node_id].get("children") or []))


def _parts(content: dict[str, Any]) -> list[Any]:
    match content.get("content_type"):
        case "text" | "multimodal_text":
            return list(content.get("parts") or [])
        case "code":
            return [f"```{content.get('language') or ''}\n{content.get('text') or ''}\n```"]
        case _:
            return []


def _pictures(parts: list[Any], asset: Asset) -> Iterator[NewPicture]:
    for part in parts:
        pointer = part.get("asset_pointer", "") if isinstance(part, dict) else ""
        name = pointer.rpartition("/")[2]
        if name and (data := asset(name)) is not None:
            yield NewPicture(data, name)
