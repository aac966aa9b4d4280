from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from app.chats.schema import MIGRATIONS

INSERT = (
    "INSERT INTO message (id, conversation, parent, chosen, role, text, state, created) VALUES (?, 'c', ?, ?, 'user', '', ?, 0)"
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    for migration in MIGRATIONS:
        for statement in migration.statements:
            connection.execute(statement)
    connection.execute("INSERT INTO conversation (id, title, model, created, updated) VALUES ('c', '', '', 0, 0)")
    yield connection
    connection.close()


def test_versions_follow_one_another_from_one() -> None:
    assert [migration.to for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


@pytest.mark.parametrize("parent", [None, "first"])
def test_of_alternatives_only_one_can_be_chosen(connection: sqlite3.Connection, parent: str | None) -> None:
    if parent:
        connection.execute(INSERT, (parent, None, 1, "complete"))
    connection.execute(INSERT, ("a", parent, 1, "complete"))
    connection.execute(INSERT, ("b", parent, 0, "complete"))
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(INSERT, ("d", parent, 1, "complete"))


def test_a_state_nobody_knows_is_refused(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(INSERT, ("a", None, 1, "finished"))


def test_with_a_conversation_go_its_messages_and_attachments(connection: sqlite3.Connection) -> None:
    connection.execute(INSERT, ("a", None, 1, "complete"))
    connection.execute("INSERT INTO blob VALUES ('x', x'00')")
    connection.execute("INSERT INTO attachment VALUES ('a', 0, 'x', 'p.png')")
    connection.execute("DELETE FROM conversation")
    assert connection.execute("SELECT count(*) FROM message").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM attachment").fetchone() == (0,)
