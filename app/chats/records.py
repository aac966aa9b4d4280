"""What the conversation store gives out: frozen values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from app.domain.generation import FinishReason, Timings, Usage
from app.domain.messages import Role

__all__ = ["Attachment", "Conversation", "MessageState", "NewPicture", "SearchHit", "StoredMessage"]


class MessageState(enum.StrEnum):
    """GROWING is an answer being written; one found growing when the file is opened was cut off and becomes STOPPED."""

    COMPLETE = "complete"
    GROWING = "growing"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Conversation:
    """One line of the list. `model` is the model it was last answered by, or is to be answered by. Times are UTC."""

    id: str
    title: str
    model: str
    created: datetime
    updated: datetime
    has_own_title: bool = False


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A conversation in which something was found: in its title, or best in the message `message_id`.

    `snippet` is that message around what was found, on one line; `marks` are the places (start, end) in it.
    """

    conversation: Conversation
    message_id: str | None
    snippet: str = ""
    marks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class NewPicture:
    """A picture to be kept with a message: the file's bytes and what it was called ("" if nothing)."""

    data: bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture of a message; its bytes are read with `ChatStore.attachment_data`."""

    sha256: str
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One node of a conversation's tree.

    `alternatives` are the ids of all messages with the same parent, oldest first, this one among them. `error` is a sentence,
    on FAILED only. `usage`, `timings` and `finish_reason` are None for messages no model wrote to the end.
    """

    id: str
    conversation_id: str
    parent_id: str | None
    role: Role
    text: str
    state: MessageState
    created: datetime
    reasoning: str = ""
    model: str = ""
    attachments: tuple[Attachment, ...] = ()
    alternatives: tuple[str, ...] = ()
    usage: Usage | None = None
    timings: Timings | None = None
    finish_reason: FinishReason | None = None
    error: str = ""

    @property
    def position(self) -> int:
        """Which of its alternatives this is, from 0."""
        return self.alternatives.index(self.id) if self.id in self.alternatives else 0
