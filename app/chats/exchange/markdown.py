"""A conversation as it is shown, as Markdown."""

from __future__ import annotations

from app.chats.exchange.archive import ArchivedConversation, ArchivedMessage
from app.chats.exchange.pictures import data_address
from app.domain.messages import Role

__all__ = ["speaker", "to_markdown"]


def to_markdown(conversation: ArchivedConversation, *, you: str = "You") -> str:
    """What is shown of it; pictures are part of the text. `you` is what the person is called."""
    parts = [f"# {conversation.title or 'Conversation'}"]
    for message in conversation.shown:
        parts.append(f"## {speaker(message, you)}")
        parts += [f"![{picture.name or 'picture'}]({data_address(picture.data)})" for picture in message.pictures]
        if message.reasoning:
            parts.append("\n".join(f"> {line}".rstrip() for line in message.reasoning.strip().splitlines()))
        if message.text:
            parts.append(message.text.strip())
    return "\n\n".join(parts) + "\n"


def speaker(message: ArchivedMessage, you: str) -> str:
    return you if message.role is Role.USER else message.model or message.role.value.capitalize()
