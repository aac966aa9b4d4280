"""Rows of the conversation database as values."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from app.chats.records import Attachment, Conversation, MessageState, StoredMessage
from app.domain.generation import Finished, FinishReason, Timings, Usage
from app.domain.messages import Role

__all__ = ["CONVERSATION_COLUMNS", "conversation_of", "figures_of", "message_of", "now_us", "us_of"]

CONVERSATION_COLUMNS = "id, title, has_own_title, model, created, updated"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """Microseconds since 1970, UTC."""
    return us_of(datetime.now(UTC))


def us_of(time: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def conversation_of(row: sqlite3.Row) -> Conversation:
    return Conversation(
        id=row["id"],
        title=row["title"],
        model=row["model"],
        created=_time(row["created"]),
        updated=_time(row["updated"]),
        has_own_title=bool(row["has_own_title"]),
    )


def message_of(row: sqlite3.Row, attachments: Sequence[sqlite3.Row], alternatives: tuple[str, ...]) -> StoredMessage:
    return StoredMessage(
        id=row["id"],
        conversation_id=row["conversation"],
        parent_id=row["parent"],
        role=Role(row["role"]),
        text=row["text"],
        state=MessageState(row["state"]),
        created=_time(row["created"]),
        reasoning=row["reasoning"],
        model=row["model"],
        attachments=tuple(Attachment(sha256=part["blob"], name=part["name"], size_bytes=part["size"]) for part in attachments),
        alternatives=alternatives,
        usage=_usage(row),
        timings=_timings(row),
        finish_reason=FinishReason(row["finish_reason"]) if row["finish_reason"] else None,
        error=row["error"],
    )


def figures_of(finished: Finished | None) -> tuple[str | int | float | None, ...]:
    """Finish reason, four token counts and three times, in the order of the columns."""
    if finished is None:
        return (None,) * 8
    usage, timings = finished.usage, finished.timings
    tokens = (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens)
    return (finished.reason.value, *tokens, timings.queue_s, timings.prompt_s, timings.generation_s)


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _usage(row: sqlite3.Row) -> Usage | None:
    if row["prompt_tokens"] is None:
        return None
    return Usage(
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        cached_tokens=row["cached_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
    )


def _timings(row: sqlite3.Row) -> Timings | None:
    if row["queue_s"] is None:
        return None
    return Timings(queue_s=row["queue_s"], prompt_s=row["prompt_s"], generation_s=row["generation_s"])
