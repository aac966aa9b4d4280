"""Conversations, kept in one SQLite file."""

from __future__ import annotations

from app.chats.backups import backup_if_due
from app.chats.records import Attachment, Conversation, MessageState, NewPicture, SearchHit, StoredMessage
from app.chats.store import ChatStore

__all__ = [
    "Attachment",
    "ChatStore",
    "Conversation",
    "MessageState",
    "NewPicture",
    "SearchHit",
    "StoredMessage",
    "backup_if_due",
]
