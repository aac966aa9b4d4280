"""The tables of the conversation database, as steps from one version to the next."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MIGRATIONS", "Migration"]


@dataclass(frozen=True, slots=True)
class Migration:
    """Statements that bring a database from version `to - 1` to version `to`. Never changed once released."""

    to: int
    statements: tuple[str, ...]


# Times are microseconds since 1970, UTC. A message's alternatives are the messages with the same parent, of which exactly one
# is `chosen`; the conversation as shown is the chain of chosen messages. `message.number` orders messages and is the row id
# that a full-text index can point to.
_FIRST = Migration(
    1,
    (
        """
        CREATE TABLE conversation (
            id TEXT PRIMARY KEY,
            title TEXT NOT NULL,
            has_own_title INTEGER NOT NULL DEFAULT 0,
            model TEXT NOT NULL,
            created INTEGER NOT NULL,
            updated INTEGER NOT NULL,
            deleted INTEGER
        ) STRICT
        """,
        """
        CREATE TABLE message (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            conversation TEXT NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
            parent TEXT REFERENCES message (id) ON DELETE CASCADE,
            chosen INTEGER NOT NULL DEFAULT 1,
            role TEXT NOT NULL,
            text TEXT NOT NULL,
            reasoning TEXT NOT NULL DEFAULT '',
            state TEXT NOT NULL CHECK (state IN ('complete', 'growing', 'stopped', 'failed')),
            model TEXT NOT NULL DEFAULT '',
            created INTEGER NOT NULL,
            prompt_tokens INTEGER,
            completion_tokens INTEGER,
            cached_tokens INTEGER,
            reasoning_tokens INTEGER,
            queue_s REAL,
            prompt_s REAL,
            generation_s REAL,
            finish_reason TEXT,
            error TEXT NOT NULL DEFAULT ''
        ) STRICT
        """,
        "CREATE INDEX message_by_conversation ON message (conversation, number)",
        "CREATE INDEX message_by_parent ON message (parent)",
        "CREATE UNIQUE INDEX one_chosen ON message (conversation, coalesce(parent, '')) WHERE chosen",
        "CREATE INDEX growing ON message (state) WHERE state = 'growing'",
        """
        CREATE TABLE blob (
            sha256 TEXT PRIMARY KEY,
            data BLOB NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE attachment (
            message TEXT NOT NULL REFERENCES message (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            blob TEXT NOT NULL REFERENCES blob (sha256),
            name TEXT NOT NULL,
            PRIMARY KEY (message, position)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX attachment_by_blob ON attachment (blob)",
    ),
)

# Any three letters in a row can be found, in every language. Growing answers would be indexed twice a second: not they.
_SEARCH = Migration(
    2,
    (
        """
        CREATE VIRTUAL TABLE message_text
        USING fts5 (text, content = 'message', content_rowid = 'number', tokenize = 'trigram')
        """,
        "INSERT INTO message_text (rowid, text) SELECT number, text FROM message WHERE state <> 'growing'",
        """
        CREATE TRIGGER message_text_insert AFTER INSERT ON message WHEN new.state <> 'growing' BEGIN
            INSERT INTO message_text (rowid, text) VALUES (new.number, new.text);
        END
        """,
        """
        CREATE TRIGGER message_text_delete AFTER DELETE ON message WHEN old.state <> 'growing' BEGIN
            INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', old.number, old.text);
        END
        """,
        """
        CREATE TRIGGER message_text_leave AFTER UPDATE OF text, state ON message WHEN old.state <> 'growing' BEGIN
            INSERT INTO message_text (message_text, rowid, text) VALUES ('delete', old.number, old.text);
        END
        """,
        """
        CREATE TRIGGER message_text_enter AFTER UPDATE OF text, state ON message WHEN new.state <> 'growing' BEGIN
            INSERT INTO message_text (rowid, text) VALUES (new.number, new.text);
        END
        """,
    ),
)

MIGRATIONS: tuple[Migration, ...] = (_FIRST, _SEARCH)
