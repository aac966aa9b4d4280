"""Open WebUI's export of chats: a list of objects whose `chat.history` is the tree of messages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from app.chats.exchange.archive import ArchivedConversation, ArchivedMessage, id_from, time_of, upwards
from app.chats.records import NewPicture
from app.domain.messages import Role

__all__ = ["read_open_webui"]

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}


def read_open_webui(content: dict[str, Any]) -> ArchivedConversation:
    """One conversation. Raises KeyError, TypeError, AttributeError for what is none."""
    chat = content["chat"]
    history = chat["history"]
    nodes: dict[str, dict[str, Any]] = history["messages"]
    conversation_id = id_from("open-webui", str(content.get("id") or chat.get("id") or chat["timestamp"]))
    shown = set(upwards(nodes, history.get("currentId"), "parentId"))
    messages = [
        ArchivedMessage(
            id=id_from("open-webui", conversation_id, node_id),
            parent_id=id_from("open-webui", conversation_id, parent) if (parent := node.get("parentId")) in nodes else None,
            role=_ROLES[node["role"]],
            text=str(node.get("content") or ""),
            created=time_of(node.get("timestamp")),
            chosen=node_id in shown,
            model=str(node.get("model") or "") if node["role"] == "assistant" else "",
            pictures=tuple(_pictures(node)),
        )
        for node_id, node in _downwards(nodes)
    ]
    created = time_of(content.get("created_at") or chat.get("timestamp"))
    return ArchivedConversation(
        id=conversation_id,
        title=str(content.get("title") or chat.get("title") or ""),
        model="",
        created=created,
        updated=max(time_of(content.get("updated_at")), created),
        messages=tuple(messages),
        has_own_title=True,
    )


def _downwards(nodes: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every message with its id, after its parent; roles that are no turn are passed over with what follows them."""
    waiting = [node_id for node_id, node in reversed(nodes.items()) if node.get("parentId") not in nodes]
    seen = set()
    while waiting:
        node_id = waiting.pop()
        if node_id in nodes and node_id not in seen and nodes[node_id].get("role") in _ROLES:
            seen.add(node_id)
            yield node_id, nodes[node_id]
            waiting.extend(reversed(nodes[node_id].get("childrenIds") or []))


def _pictures(node: dict[str, Any]) -> Iterator[NewPicture]:
    for file in node.get("files") or []:
        address = str(file.get("url", "")) if isinstance(file, dict) and file.get("type") == "image" else ""
        head, comma, data = address.partition(",")
        if comma and head.startswith("data:image/") and head.endswith(";base64"):
            try:
                yield NewPicture(base64.b64decode(data, validate=True))
            except binascii.Error:
                continue
