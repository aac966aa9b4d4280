"""Copies of the conversation database, in a folder beside it: the last three days on which something was said."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

__all__ = ["backup_if_due", "backups", "is_sound", "made_at", "restore_backup", "whole_copy"]

_KEPT: Final = 3
_EVERY: Final = timedelta(days=1)
_STAMP: Final = "%Y%m%d-%H%M%S"
# The disk is for a person's other things too.
_LEFT_FREE_BYTES: Final = 1_000_000_000


def backups(file: Path) -> tuple[Path, ...]:
    """The copies of `file`, the newest first."""
    found = (copy for copy in _folder(file).glob(f"{file.stem}-*{file.suffix}") if made_at(copy) is not None)
    return tuple(sorted(found, reverse=True))


def made_at(copy: Path) -> datetime | None:
    """When a backup was made, by its name; None for what is none."""
    with suppress(ValueError):
        return datetime.strptime("-".join(copy.stem.split("-")[-2:]), _STAMP).replace(tzinfo=UTC)
    return None


def backup_if_due(file: Path, *, now: datetime | None = None) -> Path | None:
    """Copy `file` if a day has passed since the last copy and something has changed; keep the newest three.

    A connection of its own reads, so other threads and programs go on writing. None if none is due, or the disk is too full for
    one. Raises sqlite3.Error and OSError, with the older copies as they were; also for a database that is damaged.
    """
    now = now or datetime.now(UTC)
    known = backups(file)
    if not file.exists() or (known and not _is_due(file, known[0], now)):
        return None
    if shutil.disk_usage(file.parent).free < 2 * file.stat().st_size + _LEFT_FREE_BYTES:
        return None
    copy = _folder(file) / f"{file.stem}-{now.strftime(_STAMP)}{file.suffix}"
    copy.parent.mkdir(exist_ok=True)
    for left in copy.parent.glob(f"{file.stem}-*{file.suffix}.new*"):
        # Of a program that was killed in the middle.
        left.unlink(missing_ok=True)
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        whole_copy(connection, copy)
    for old in known[_KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return copy


def restore_backup(file: Path) -> Path | None:
    """Put a copy of the newest sound backup where `file` is missing; None if there is none. Raises OSError."""
    for copy in backups(file):
        if is_sound(copy):
            new = file.with_name(f"{file.name}.new")
            shutil.copyfile(copy, new)
            new.replace(file)
            return copy
    return None


def whole_copy(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the database to `target`: whole and checked, or not at all. Raises sqlite3.Error and OSError."""
    unfinished = target.with_name(f"{target.name}.new")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(unfinished)) as copy:
            connection.backup(copy)
        if not is_sound(unfinished):
            raise sqlite3.DatabaseError("the copy is damaged, and so is what was copied")
        with unfinished.open("rb+") as written:
            os.fsync(written.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
        unfinished.with_name(f"{unfinished.name}-journal").unlink(missing_ok=True)


def is_sound(file: Path) -> bool:
    """Whether SQLite finds nothing wrong with a database that nobody has open."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.Error:
        return False


def _is_due(file: Path, newest: Path, now: datetime) -> bool:
    made = made_at(newest)
    return made is None or (now - made >= _EVERY and _changed(file) > newest.stat().st_mtime)


def _changed(file: Path) -> float:
    """When the database, or its write-ahead log, was last written; reading alone leaves an empty log behind."""
    parts = (file, file.with_name(f"{file.name}-wal"))
    return max((part.stat().st_mtime for part in parts if part.exists() and part.stat().st_size), default=0.0)


def _folder(file: Path) -> Path:
    return file.with_name("backups")
