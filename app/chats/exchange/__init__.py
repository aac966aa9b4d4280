"""Conversations on their way out of this program, or into it from another."""

from __future__ import annotations

from app.chats.exchange.archive import ArchivedConversation, ArchivedMessage
from app.chats.exchange.html import to_html
from app.chats.exchange.markdown import to_markdown
from app.chats.exchange.native import to_json
from app.chats.exchange.reading import read_conversations

__all__ = ["ArchivedConversation", "ArchivedMessage", "read_conversations", "to_html", "to_json", "to_markdown"]
