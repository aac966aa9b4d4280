"""Opening the conversation database: checked, migrated, and never thrown away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.chats.backups import made_at, restore_backup, whole_copy
from app.chats.salvage import salvage
from app.chats.schema import MIGRATIONS, Migration
from app.domain.errors import StoreError

__all__ = ["OpenedDatabase", "open_database", "store_errors", "transaction"]

_BUSY_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class OpenedDatabase:
    """`notice` is a sentence for the person if a damaged file had to be moved aside. Use on the opening thread only."""

    connection: sqlite3.Connection
    notice: str | None


def open_database(file: Path, migrations: tuple[Migration, ...] = MIGRATIONS) -> OpenedDatabase:
    """Open or create `file` and bring it to the newest version.

    A damaged file is moved aside under another name; the newest sound backup takes its place, with whatever of the damaged one
    can still be read. Raises StoreError for a file that can't be opened, or that a newer version of this program wrote.
    """
    with store_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        connection = _connect_sound(file)
        if connection is not None:
            return OpenedDatabase(_migrated(connection, file, migrations), None)
        kept = _move_aside(file)
        backup = restore_backup(file)
        connection = _migrated(_connect(file), file, migrations)
        try:
            n_saved = salvage(connection, kept)
        except BaseException:
            connection.close()
            raise
    return OpenedDatabase(connection, _notice(kept, backup, n_saved))


def _notice(kept: Path, backup: Path | None, n_saved: int) -> str:
    made = made_at(backup) if backup is not None else None
    begun = f"The copy of {made.astimezone():%Y-%m-%d %H:%M} was put in its place" if made else "A new one was begun"
    saved = f"; {n_saved} messages were saved from the damaged one" if n_saved else ""
    return f"The file with your conversations was damaged. {begun}{saved}. The damaged one was kept as {kept}."


@contextmanager
def store_errors(file: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{file} can't be used: {error}.") from error
    except OSError as error:
        raise StoreError(f"{file} can't be used: {error.strerror or error}.") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # FULL, not NORMAL: a message that was sent survives a power cut too. At a write or two a second that costs nothing.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What a person deletes is overwritten, not only unlinked.
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_sound(file: Path) -> sqlite3.Connection | None:
    """A connection, or None if what lies there is damaged or no database. Other trouble (locked, no permission) is raised."""
    try:
        connection = _connect(file)
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            return None
        raise
    try:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        connection.close()
        if _is_damage(error):
            return None
        raise
    if verdict == "ok":
        return connection
    connection.close()
    return None


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _move_aside(file: Path) -> Path:
    """Rename the database and its journals, so that nothing in them is lost; return the new name."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    kept = file.with_name(f"{file.stem}.damaged-{stamp}{file.suffix}")
    for ending in ("-wal", "-shm", ""):
        part = file.with_name(file.name + ending)
        if part.exists():
            part.rename(kept.with_name(kept.name + ending))
    return kept


def _migrated(connection: sqlite3.Connection, file: Path, migrations: tuple[Migration, ...]) -> sqlite3.Connection:
    try:
        _migrate(connection, file, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, file: Path, migrations: tuple[Migration, ...]) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    newest = migrations[-1].to
    if version > newest:
        raise StoreError(
            f"{file} was written by a newer version of Hearth (format {version}, this one knows {newest}). Update Hearth."
        )
    for migration in migrations:
        if migration.to <= version:
            continue
        if version > 0:
            whole_copy(connection, file.with_name(f"{file.stem}.before-v{migration.to}{file.suffix}"))
        with transaction(connection):
            for statement in migration.statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {migration.to:d}")
        version = migration.to
