"""From kept messages to what a model is asked, and to a title."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from app.chats import MessageState, StoredMessage
from app.domain.messages import ContentPart, ImagePart, Message, Role, TextPart

__all__ = ["is_empty_failure", "prompt_messages", "title_of"]

_TITLE_LENGTH = 48
_MARKUP = re.compile(r"^[#>*\-\s]+|[`*_]+")


def prompt_messages(
    messages: Iterable[StoredMessage], *, system_prompt: str, picture: Callable[[str], bytes]
) -> tuple[Message, ...]:
    """The conversation as a model is to read it; `picture` gives the bytes of an attachment's sha256.

    Earlier reasoning is given too: the model's template knows how much of it the model is to see. Answers that failed before
    their first word are left out, and the questions around them joined, because many templates insist on turns that alternate.
    """
    turns: list[Message] = [Message.of(Role.SYSTEM, system_prompt)] if system_prompt.strip() else []
    for stored in messages:
        if stored.role is Role.ASSISTANT and not stored.text:
            continue
        parts = _parts(stored, picture)
        if turns and turns[-1].role is stored.role:
            turns[-1] = replace(turns[-1], parts=(*turns[-1].parts, TextPart("\n\n"), *parts))
        else:
            turns.append(Message(stored.role, parts, reasoning=stored.reasoning))
    return tuple(turns)


def title_of(text: str) -> str:
    """A short title from the first line of a message, "" if it has no words."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    words = " ".join(_MARKUP.sub("", line).split())
    if len(words) <= _TITLE_LENGTH:
        return words
    cut = words[:_TITLE_LENGTH].rsplit(" ", 1)[0]
    return f"{cut}…"


def is_empty_failure(message: StoredMessage) -> bool:
    """Whether an answer holds nothing worth keeping beside another try."""
    return message.state in (MessageState.FAILED, MessageState.STOPPED) and not message.text and not message.reasoning


def _parts(stored: StoredMessage, picture: Callable[[str], bytes]) -> tuple[ContentPart, ...]:
    pictures = tuple(ImagePart(picture(attachment.sha256)) for attachment in stored.attachments)
    return (*pictures, TextPart(stored.text)) if stored.text or not pictures else pictures
