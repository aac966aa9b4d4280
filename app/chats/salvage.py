"""Taking over from a damaged conversation database whatever can still be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

__all__ = ["salvage"]

# Parents before children; the columns that say which row is which.
_TABLES: Final = {"conversation": "id", "blob": "sha256", "message": "id", "attachment": "message, position"}


def salvage(connection: sqlite3.Connection, damaged: Path) -> int:
    """Add to the open database what `damaged` holds besides, in one transaction; return the number of messages added.

    `damaged` may be of an older version, and need not be a database at all. Where both know a row, the longer text wins, which
    of an answer that grew is the later one. Raises sqlite3.Error for trouble with the open database.
    """
    before = _count(connection)
    # Rows come in any order, and some are lost: what is left without its parent is taken out at the end.
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for table, key in _TABLES.items():
                _take(connection, damaged, table, key)
            _take_out_orphans(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    finally:
        connection.execute("PRAGMA foreign_keys = ON")
    return _count(connection) - before


def _take(connection: sqlite3.Connection, damaged: Path, table: str, key: str) -> None:
    known = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    for row in _readable(damaged, table):
        whole = {name: row[name] for name in known if name in row}
        # Only one of several alternatives is shown, and the database at hand may have decided for another one; and it may have
        # given a message's number away. A row that breaks a rule even then was damaged itself.
        hidden = {**whole, "chosen": 0} if "chosen" in whole else whole
        for values in (whole, hidden, {name: value for name, value in hidden.items() if name != "number"}):
            with suppress(sqlite3.IntegrityError):
                _add(connection, table, key, values)
                break


def _add(connection: sqlite3.Connection, table: str, key: str, values: dict[str, object]) -> None:
    update = "DO UPDATE SET text = excluded.text WHERE length(excluded.text) > length(text)"
    connection.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
        f" ON CONFLICT ({key}) {update if table == 'message' else 'DO NOTHING'}",
        tuple(values.values()),
    )


def _readable(damaged: Path, table: str) -> Iterator[dict[str, object]]:
    """Rows from the front up to the damage, then from the back."""
    order = "number" if table == "message" else "rowid" if table in ("conversation", "blob") else "message"
    for direction in ("ASC", "DESC"):
        # A copy of its journal may make half of it unreadable, or the only readable half.
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True)) as source,
        ):
            cursor = source.execute(f"SELECT * FROM {table} ORDER BY {order} {direction}")
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield dict(zip(names, row, strict=True))
            return


def _take_out_orphans(connection: sqlite3.Connection) -> None:
    """Messages whose conversation was lost get one; those whose parent was lost become other beginnings."""
    connection.execute(
        "INSERT INTO conversation (id, title, model, created, updated)"
        " SELECT conversation, '', max(model), min(created), max(created) FROM message"
        " WHERE conversation NOT IN (SELECT id FROM conversation) GROUP BY conversation"
    )
    connection.execute("UPDATE message SET parent = NULL, chosen = 0 WHERE parent NOT IN (SELECT id FROM message)")
    connection.execute("DELETE FROM attachment WHERE message NOT IN (SELECT id FROM message)")
    connection.execute("DELETE FROM attachment WHERE blob NOT IN (SELECT sha256 FROM blob)")
    # Where nothing is shown below a message, or at the top, the newest of the alternatives is.
    connection.execute(
        "UPDATE message SET chosen = 1 WHERE number IN (SELECT max(number) FROM message GROUP BY conversation, parent"
        " HAVING max(chosen) = 0)"
    )


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM message").fetchone()[0])
