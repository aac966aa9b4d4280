from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from app.chats.database import open_database
from app.chats.schema import MIGRATIONS, Migration
from app.domain.errors import StoreError

NEXT = Migration(MIGRATIONS[-1].to + 1, ("ALTER TABLE conversation ADD COLUMN folder TEXT",))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "chats.sqlite3"


def add_conversation(file: Path) -> None:
    connection = open_database(file).connection
    connection.execute("INSERT INTO conversation (id, title, model, created, updated) VALUES ('a', 'Kept', 'ember', 1, 1)")
    connection.close()


def test_a_new_file_gets_the_newest_version_and_a_write_ahead_log(file: Path) -> None:
    connection = open_database(file).connection
    assert connection.execute("PRAGMA user_version").fetchone()[0] == MIGRATIONS[-1].to
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    connection.close()


def test_a_migration_keeps_the_rows_and_copies_the_file_first(file: Path) -> None:
    add_conversation(file)
    connection = open_database(file, (*MIGRATIONS, NEXT)).connection
    assert connection.execute("SELECT title, folder FROM conversation").fetchall() == [("Kept", None)]
    connection.close()
    copy = sqlite3.connect(file.with_name(f"chats.before-v{NEXT.to}.sqlite3"))
    assert copy.execute("SELECT title FROM conversation").fetchall() == [("Kept",)]
    assert copy.execute("PRAGMA user_version").fetchone()[0] == MIGRATIONS[-1].to
    copy.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(file: Path) -> None:
    add_conversation(file)
    broken = Migration(NEXT.to, ("ALTER TABLE conversation ADD COLUMN folder TEXT", "ALTER TABLE nothing ADD COLUMN more TEXT"))
    with pytest.raises(StoreError):
        open_database(file, (*MIGRATIONS, broken))
    connection = open_database(file).connection
    columns = [row[1] for row in connection.execute("PRAGMA table_info(conversation)")]
    connection.close()
    assert "folder" not in columns


def test_a_file_of_a_newer_version_is_refused_and_left_alone(file: Path) -> None:
    open_database(file, (*MIGRATIONS, NEXT)).connection.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match="newer version"):
        open_database(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("keep_header", [False, True], ids=["no database at all", "damaged inside"])
def test_a_damaged_file_is_kept_under_another_name_and_said_so(file: Path, keep_header: bool) -> None:
    add_conversation(file)
    sound = file.read_bytes()
    damaged = sound[:100] + b"\xff" * (len(sound) - 100) if keep_header else b"not a database " * 100
    file.write_bytes(damaged)
    opened = open_database(file)
    assert opened.connection.execute("SELECT count(*) FROM conversation").fetchone()[0] == 0
    opened.connection.close()
    (kept,) = file.parent.glob("chats.damaged-*.sqlite3")
    assert kept.read_bytes() == damaged
    assert opened.notice is not None
    assert str(kept) in opened.notice


def test_a_sound_file_has_no_notice(file: Path) -> None:
    add_conversation(file)
    opened = open_database(file)
    opened.connection.close()
    assert opened.notice is None


def test_a_folder_that_can_not_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(StoreError):
        open_database(tmp_path / "data" / "chats.sqlite3")
