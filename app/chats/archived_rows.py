"""Writing a conversation that was exported into the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from app.chats.exchange.archive import ArchivedConversation, ArchivedMessage
from app.chats.records import NewPicture
from app.chats.rows import figures_of, us_of
from app.domain.errors import InvalidRequest
from app.domain.generation import Finished

__all__ = ["add_archived"]


# What numbers, letters and values that SQLite does not hold raise.
_UNKEEPABLE: Final = (sqlite3.IntegrityError, sqlite3.ProgrammingError, UnicodeEncodeError, OverflowError, TypeError)


def add_archived(
    connection: sqlite3.Connection, archived: ArchivedConversation, attach: Callable[[str, int, NewPicture], None]
) -> bool:
    """Within a transaction: whether it was not there yet. One that was deleted, but not purged, gives way to it.

    Raises InvalidRequest for what can't be kept, such as messages that don't hang together.
    """
    try:
        connection.execute("DELETE FROM conversation WHERE id = ? AND deleted IS NOT NULL", (archived.id,))
        if connection.execute("SELECT 1 FROM conversation WHERE id = ?", (archived.id,)).fetchone():
            return False
        _add_whole(connection, archived, attach)
    except _UNKEEPABLE as error:
        raise InvalidRequest(f"The conversation {archived.title!a} is damaged: {error}.", param="file") from error
    return True


def _add_whole(
    connection: sqlite3.Connection, archived: ArchivedConversation, attach: Callable[[str, int, NewPicture], None]
) -> None:
    connection.execute(
        "INSERT INTO conversation (id, title, has_own_title, model, created, updated) VALUES (?, ?, ?, ?, ?, ?)",
        (
            archived.id,
            archived.title,
            int(archived.has_own_title),
            archived.model,
            us_of(archived.created),
            us_of(archived.updated),
        ),
    )
    above: set[str | None] = {None}
    for message in archived.messages:
        if message.parent_id not in above:
            raise sqlite3.IntegrityError("a message follows one that is not there")
        above.add(message.id)
        _add(connection, archived.id, message)
        for position, picture in enumerate(message.pictures):
            attach(message.id, position, picture)
    # Among the alternatives of each place one is shown: where the file says nothing, the newest.
    connection.execute(
        "UPDATE message SET chosen = 1 WHERE number IN (SELECT max(number) FROM message WHERE conversation = ?"
        " GROUP BY parent HAVING max(chosen) = 0)",
        (archived.id,),
    )


def _add(connection: sqlite3.Connection, conversation_id: str, message: ArchivedMessage) -> None:
    finished = (
        Finished(message.finish_reason, message.usage, message.timings)
        if message.finish_reason and message.usage and message.timings
        else None
    )
    connection.execute(
        "INSERT INTO message (id, conversation, parent, chosen, role, text, reasoning, state, model, created, error,"
        " finish_reason, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, queue_s, prompt_s, generation_s)"
        f" VALUES ({', '.join('?' * 19)})",
        (
            message.id,
            conversation_id,
            message.parent_id,
            int(message.chosen),
            message.role.value,
            message.text,
            message.reasoning,
            message.state.value,
            message.model,
            us_of(message.created),
            message.error,
            *figures_of(finished),
        ),
    )
