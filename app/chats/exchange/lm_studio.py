"""LM Studio's conversation files: a list of messages, each with its versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from app.chats.exchange.archive import ArchivedConversation, ArchivedMessage, id_from, text_of, time_of
from app.domain.messages import Role

__all__ = ["read_lm_studio"]

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}


def read_lm_studio(content: dict[str, Any]) -> ArchivedConversation:
    """One conversation. What follows a message follows the version of it that was selected.

    Raises KeyError, TypeError, AttributeError, IndexError for what is none.
    """
    created = time_of(content["createdAt"])
    conversation_id = id_from("lm-studio", str(content["createdAt"]), str(content.get("name") or ""))
    messages: list[ArchivedMessage] = []
    above: str | None = None
    for place, entry in enumerate(content["messages"]):
        selected = entry.get("currentlySelected", 0)
        following = above
        for number, version in enumerate(entry["versions"]):
            role = _ROLES.get(version.get("role", ""))
            text, reasoning = _words(version)
            if role is None or not (text or reasoning):
                continue
            message_id = id_from("lm-studio", conversation_id, str(place), str(number))
            if number == selected:
                following = message_id
            model = str((version.get("senderInfo") or {}).get("senderName") or "") if role is Role.ASSISTANT else ""
            messages.append(
                ArchivedMessage(message_id, above, role, text, created, number == selected, reasoning=reasoning, model=model)
            )
        above = following
    return ArchivedConversation(
        id=conversation_id,
        title=str(content.get("name") or ""),
        model="",
        created=created,
        updated=max(created, time_of(content.get("assistantLastMessagedAt") or content.get("userLastMessagedAt"))),
        messages=tuple(messages),
        has_own_title=bool(content.get("name")),
    )


def _words(version: dict[str, Any]) -> tuple[str, str]:
    """Text and reasoning: of one step, or of the steps of an answer."""
    if version.get("type") != "multiStep":
        return text_of(version.get("content") or [], _text), ""
    blocks = [step for step in version.get("steps") or [] if step.get("type") == "contentBlock"]
    thought = [block for block in blocks if (block.get("style") or {}).get("type") == "thinking"]
    said = [block for block in blocks if block not in thought]
    return text_of(_content(said), _text), text_of(_content(thought), _text)


def _content(blocks: Iterable[dict[str, Any]]) -> Iterator[Any]:
    return (part for block in blocks for part in block.get("content") or [])


def _text(part: Any) -> str:
    return str(part.get("text") or "") if isinstance(part, dict) and part.get("type") == "text" else ""
