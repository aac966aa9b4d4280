"""A whole conversation as a value, with every branch and picture."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from app.chats.records import MessageState, NewPicture
from app.domain.generation import FinishReason, Timings, Usage
from app.domain.messages import Role

__all__ = ["ArchivedConversation", "ArchivedMessage", "id_from", "text_of", "time_of", "upwards"]

_NAMESPACE: Final = uuid.UUID("3d0a86ce-4a57-4f0c-9a70-3a4fd6a7a8d5")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ArchivedMessage:
    """See `StoredMessage`; of those with the same parent exactly one is `chosen`."""

    id: str
    parent_id: str | None
    role: Role
    text: str
    created: datetime
    chosen: bool = True
    state: MessageState = MessageState.COMPLETE
    reasoning: str = ""
    model: str = ""
    pictures: tuple[NewPicture, ...] = ()
    usage: Usage | None = None
    timings: Timings | None = None
    finish_reason: FinishReason | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class ArchivedConversation:
    """`messages` are in the order they were written; a parent comes before what follows it."""

    id: str
    title: str
    model: str
    created: datetime
    updated: datetime
    messages: tuple[ArchivedMessage, ...]
    has_own_title: bool = False

    @property
    def shown(self) -> tuple[ArchivedMessage, ...]:
        """From the first message along the chosen ones."""
        chain: list[ArchivedMessage] = []
        below: dict[str | None, ArchivedMessage] = {one.parent_id: one for one in self.messages if one.chosen}
        above: str | None = None
        while (following := below.pop(above, None)) is not None:
            chain.append(following)
            above = following.id
        return tuple(chain)


def id_from(program: str, *names: str) -> str:
    """An id that is the same each time the same thing is read from another program's file."""
    return uuid.uuid5(_NAMESPACE, "\n".join((program, *names))).hex


def time_of(value: Any) -> datetime:
    """Seconds, or milliseconds, since 1970; what is neither is 1970."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e14:
        return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, tz=UTC)
    return _EPOCH


def text_of(parts: Iterable[Any], read: Callable[[Any], str]) -> str:
    """The texts of a message's parts, a blank line between them."""
    return "\n\n".join(text for part in parts if (text := read(part).strip()))


def upwards(nodes: Mapping[str, dict[str, Any]], node_id: str | None, parent: str) -> Iterator[str]:
    """A node's id and those above it, where `parent` is the key of the next; ends where there is none, or a circle closes."""
    seen = set()
    while node_id is not None and node_id in nodes and node_id not in seen:
        seen.add(node_id)
        yield node_id
        node_id = nodes[node_id].get(parent)
