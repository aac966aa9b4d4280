"""What a conversation is made of. Pure values: where a message is stored and how it is numbered is the store's concern."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["AudioPart", "ContentPart", "ImagePart", "ImageUrl", "Message", "Role", "TextPart", "ToolCall"]


class Role(enum.StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture as the file's bytes, in one of the formats of `app.engine.pictures`, which checks it before use.

    It is made smaller than `max_side` pixels each way first, if that is given.
    """

    data: bytes
    max_side: int | None = None


@dataclass(frozen=True, slots=True)
class ImageUrl:
    """A picture that is still on the web, by its https address: `app.service.pictures` puts an `ImagePart` in its place.

    `param` is what the request calls it.
    """

    url: str
    param: str
    max_side: int | None = None


@dataclass(frozen=True, slots=True)
class AudioPart:
    """Sound as the file's bytes: WAV, MP3 or FLAC, checked by `app.engine.sounds` before use."""

    data: bytes


ContentPart: TypeAlias = TextPart | ImagePart | ImageUrl | AudioPart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments` is the text the model wrote: a JSON object if the model kept to the format."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tool_call_id` is set on tool results only, `tool_calls` and `reasoning` on assistant turns only."""

    role: Role
    parts: tuple[ContentPart, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def images(self) -> tuple[ImagePart, ...]:
        return tuple(part for part in self.parts if isinstance(part, ImagePart))

    @property
    def n_images(self) -> int:
        """With those that are still on the web."""
        return sum(isinstance(part, ImagePart | ImageUrl) for part in self.parts)

    @property
    def sounds(self) -> tuple[AudioPart, ...]:
        return tuple(part for part in self.parts if isinstance(part, AudioPart))

    @classmethod
    def of(cls, role: Role, text: str) -> Message:
        """A message of text alone."""
        return cls(role, (TextPart(text),))
