"""The conversation store: everything that was said, in one SQLite file."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from app.chats.archived_rows import add_archived
from app.chats.database import open_database, store_errors, transaction
from app.chats.exchange.archive import ArchivedConversation, ArchivedMessage
from app.chats.records import Conversation, MessageState, NewPicture, SearchHit, StoredMessage
from app.chats.rows import CONVERSATION_COLUMNS, conversation_of, figures_of, message_of, now_us
from app.chats.search import found
from app.domain.errors import StoreError
from app.domain.generation import Finished
from app.domain.messages import Role

__all__ = ["ChatStore"]

_SHOWN = """
WITH RECURSIVE shown (id) AS (
    SELECT id FROM message WHERE conversation = ?1 AND parent IS NULL AND chosen
    UNION ALL
    SELECT child.id FROM message AS child JOIN shown ON child.parent = shown.id WHERE child.chosen
)
"""


class ChatStore:
    """Owned by the thread that made it. Every change is on the disk when its method returns.

    Methods that take an id raise StoreError if there is nothing with that id; all raise StoreError if the file fails.
    """

    def __init__(self, file: Path) -> None:
        """Open or create `file`. Answers that were growing when the program ended become STOPPED; what was deleted goes."""
        self._file = file
        opened = open_database(file)
        self._connection = opened.connection
        self._connection.row_factory = sqlite3.Row
        self.notice = opened.notice
        """A sentence for the person if the file was found damaged and kept under another name."""
        try:
            self._change("UPDATE message SET state = 'stopped' WHERE state = 'growing'", ())
            self.purge_deleted()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ChatStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    # ------------------------------------------------------------------------------------------------- conversations
    def conversations(self) -> tuple[Conversation, ...]:
        """All that are not deleted, the latest first."""
        query = f"SELECT {CONVERSATION_COLUMNS} FROM conversation WHERE deleted IS NULL ORDER BY updated DESC, rowid DESC"
        with self._errors():
            return tuple(conversation_of(row) for row in self._connection.execute(query))

    def conversation(self, conversation_id: str) -> Conversation:
        query = f"SELECT {CONVERSATION_COLUMNS} FROM conversation WHERE id = ? AND deleted IS NULL"
        with self._errors():
            row = self._connection.execute(query, (conversation_id,)).fetchone()
        if row is None:
            raise StoreError("This conversation does not exist any more.")
        return conversation_of(row)

    def create(self, *, title: str = "", model: str = "") -> Conversation:
        now = now_us()
        conversation_id = uuid.uuid4().hex
        with self._errors(), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO conversation (id, title, model, created, updated) VALUES (?, ?, ?, ?, ?)",
                (conversation_id, title, model, now, now),
            )
        return self.conversation(conversation_id)

    def rename(self, conversation_id: str, title: str, *, by_person: bool = True) -> Conversation:
        """Change the title. One a person gave is never replaced by an automatic one."""
        condition = "" if by_person else " AND NOT has_own_title"
        statement = f"UPDATE conversation SET title = ?, has_own_title = ? WHERE id = ?{condition}"
        self._change(statement, (title, int(by_person), conversation_id))
        return self.conversation(conversation_id)

    def set_model(self, conversation_id: str, model: str) -> Conversation:
        self._change("UPDATE conversation SET model = ? WHERE id = ?", (model, conversation_id))
        return self.conversation(conversation_id)

    def delete(self, conversation_id: str) -> None:
        """Take it off the list; `restore` brings it back until the deleted are purged."""
        self.conversation(conversation_id)
        self._change("UPDATE conversation SET deleted = ? WHERE id = ?", (now_us(), conversation_id))

    def restore(self, conversation_id: str) -> Conversation:
        self._change("UPDATE conversation SET deleted = NULL WHERE id = ?", (conversation_id,))
        return self.conversation(conversation_id)

    def search(self, text: str, *, limit: int = 50) -> tuple[SearchHit, ...]:
        """Conversations in whose title, or in one message of which, every word of `text` stands; the latest first.

        Parts of words count, capitals do not. Nothing is found for a text without words.
        """
        with self._errors():
            return tuple(found(self._connection, text, limit))

    def purge_deleted(self) -> None:
        """Remove deleted conversations, and pictures no message shows any more, for good."""
        with self._errors(), transaction(self._connection):
            gone = self._connection.execute("DELETE FROM conversation WHERE deleted IS NOT NULL").rowcount
            if gone:
                # The index of words keeps what was deleted until its parts are joined.
                self._connection.execute("INSERT INTO message_text (message_text) VALUES ('optimize')")
            self._connection.execute("DELETE FROM blob WHERE sha256 NOT IN (SELECT blob FROM attachment)")

    def export(self, conversation_id: str) -> ArchivedConversation:
        """A whole conversation, with every branch and picture."""
        conversation = self.conversation(conversation_id)
        stored = self._messages("SELECT * FROM message WHERE conversation = ?1 ORDER BY number", conversation_id)
        with self._errors():
            query = "SELECT id FROM message WHERE conversation = ? AND chosen"
            chosen = {row["id"] for row in self._connection.execute(query, (conversation_id,))}
        return ArchivedConversation(
            id=conversation.id,
            title=conversation.title,
            model=conversation.model,
            created=conversation.created,
            updated=conversation.updated,
            has_own_title=conversation.has_own_title,
            messages=tuple(self._archived(message, message.id in chosen) for message in stored),
        )

    def take(self, archived: Sequence[ArchivedConversation]) -> tuple[Conversation | None, ...]:
        """Keep conversations that were exported, all or none; None for one whose id there is already.

        One that was deleted, but not purged yet, gives way to it. Raises InvalidRequest for what can't be kept.
        """
        with self._errors(), transaction(self._connection):
            new = [add_archived(self._connection, one, self._attach) for one in archived]
        return tuple(self.conversation(one.id) if is_new else None for one, is_new in zip(archived, new, strict=True))

    # ------------------------------------------------------------------------------------------------------ messages
    def messages(self, conversation_id: str) -> tuple[StoredMessage, ...]:
        """The conversation as it is shown: from the first message along the chosen alternatives."""
        return self._messages(f"{_SHOWN} SELECT message.* FROM message JOIN shown USING (id) ORDER BY number", conversation_id)

    def message(self, message_id: str) -> StoredMessage:
        found = self._messages("SELECT * FROM message WHERE id = ?1", message_id)
        if not found:
            raise StoreError("This message does not exist any more.")
        return found[0]

    def append(
        self,
        conversation_id: str,
        *,
        parent_id: str | None,
        role: Role,
        text: str,
        pictures: Sequence[NewPicture] = (),
        state: MessageState = MessageState.COMPLETE,
        model: str = "",
    ) -> StoredMessage:
        """Add a message below `parent_id`; among the alternatives there it becomes the chosen one."""
        self.conversation(conversation_id)
        message_id = uuid.uuid4().hex
        now = now_us()
        with self._errors(), transaction(self._connection):
            self._unchoose(conversation_id, parent_id)
            self._connection.execute(
                "INSERT INTO message (id, conversation, parent, role, text, state, model, created)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (message_id, conversation_id, parent_id, role.value, text, state.value, model, now),
            )
            for position, picture in enumerate(pictures):
                self._attach(message_id, position, picture)
            self._connection.execute("UPDATE conversation SET updated = ? WHERE id = ?", (now, conversation_id))
        return self.message(message_id)

    def grow(self, message_id: str, *, text: str, reasoning: str) -> None:
        """Keep what has been written of a growing answer so far."""
        self._change("UPDATE message SET text = ?, reasoning = ? WHERE id = ?", (text, reasoning, message_id))

    def finish(
        self,
        message_id: str,
        *,
        state: MessageState,
        text: str,
        reasoning: str = "",
        finished: Finished | None = None,
        error: str = "",
    ) -> None:
        """The end of an answer: `finished` if the model came to one, `error` if it failed."""
        self._change(
            "UPDATE message SET state = ?, text = ?, reasoning = ?, error = ?, finish_reason = ?, prompt_tokens = ?,"
            " completion_tokens = ?, cached_tokens = ?, reasoning_tokens = ?, queue_s = ?, prompt_s = ?, generation_s = ?"
            " WHERE id = ?",
            (state.value, text, reasoning, error, *figures_of(finished), message_id),
        )

    def choose(self, message_id: str) -> None:
        """Show this message among its alternatives, with what was said after it."""
        message = self.message(message_id)
        with self._errors(), transaction(self._connection):
            self._unchoose(message.conversation_id, message.parent_id)
            self._connection.execute("UPDATE message SET chosen = 1 WHERE id = ?", (message_id,))

    def reveal(self, message_id: str) -> None:
        """Choose a message and all that it follows from."""
        above: str | None = message_id
        while above is not None:
            message = self.message(above)
            self.choose(above)
            above = message.parent_id

    def discard(self, message_id: str) -> None:
        """Remove a message and all below it for good; the newest remaining alternative is shown in its place."""
        message = self.message(message_id)
        rest = [other for other in message.alternatives if other != message_id]
        with self._errors(), transaction(self._connection):
            self._connection.execute("DELETE FROM message WHERE id = ?", (message_id,))
            if rest:
                self._unchoose(message.conversation_id, message.parent_id)
                self._connection.execute("UPDATE message SET chosen = 1 WHERE id = ?", (rest[-1],))

    def attachment_data(self, sha256: str) -> bytes:
        with self._errors():
            row = self._connection.execute("SELECT data FROM blob WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None:
            raise StoreError("This picture does not exist any more.")
        return bytes(row["data"])

    # ------------------------------------------------------------------------------------------------------- private
    def _archived(self, message: StoredMessage, chosen: bool) -> ArchivedMessage:
        return ArchivedMessage(
            id=message.id,
            parent_id=message.parent_id,
            role=message.role,
            text=message.text,
            created=message.created,
            chosen=chosen,
            # A growing answer is as far as it has come.
            state=MessageState.STOPPED if message.state is MessageState.GROWING else message.state,
            reasoning=message.reasoning,
            model=message.model,
            pictures=tuple(NewPicture(self.attachment_data(one.sha256), one.name) for one in message.attachments),
            usage=message.usage,
            timings=message.timings,
            finish_reason=message.finish_reason,
            error=message.error,
        )

    def _errors(self) -> AbstractContextManager[None]:
        return store_errors(self._file)

    def _change(self, statement: str, values: tuple[object, ...]) -> None:
        with self._errors(), transaction(self._connection):
            self._connection.execute(statement, values)

    def _unchoose(self, conversation_id: str, parent_id: str | None) -> None:
        self._connection.execute(
            "UPDATE message SET chosen = 0 WHERE conversation = ? AND coalesce(parent, '') = ? AND chosen",
            (conversation_id, parent_id or ""),
        )

    def _attach(self, message_id: str, position: int, picture: NewPicture) -> None:
        sha256 = hashlib.sha256(picture.data).hexdigest()
        self._connection.execute("INSERT OR IGNORE INTO blob (sha256, data) VALUES (?, ?)", (sha256, picture.data))
        self._connection.execute(
            "INSERT INTO attachment (message, position, blob, name) VALUES (?, ?, ?, ?)",
            (message_id, position, sha256, picture.name),
        )

    def _messages(self, query: str, key: str) -> tuple[StoredMessage, ...]:
        with self._errors():
            rows = self._connection.execute(query, (key,)).fetchall()
            return tuple(message_of(row, self._attachment_rows(row["id"]), self._alternatives(row)) for row in rows)

    def _attachment_rows(self, message_id: str) -> list[sqlite3.Row]:
        query = (
            "SELECT blob, name, length(data) AS size FROM attachment JOIN blob ON sha256 = blob"
            " WHERE message = ? ORDER BY position"
        )
        return self._connection.execute(query, (message_id,)).fetchall()

    def _alternatives(self, row: sqlite3.Row) -> tuple[str, ...]:
        query = "SELECT id FROM message WHERE conversation = ? AND parent IS ? ORDER BY number"
        return tuple(other["id"] for other in self._connection.execute(query, (row["conversation"], row["parent"])))
