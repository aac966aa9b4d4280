from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.chats import ChatStore
from app.chats.backups import backup_if_due, backups, is_sound, made_at, restore_backup

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chats.sqlite3"


def talk(file: Path, title: str, at: datetime) -> None:
    with ChatStore(file) as store:
        store.create(title=title)
    os.utime(file, (at.timestamp(), at.timestamp()))


def backed_up(file: Path, at: datetime) -> Path | None:
    copy = backup_if_due(file, now=at)
    if copy is not None:
        os.utime(copy, (at.timestamp(), at.timestamp()))
    return copy


def titles(file: Path) -> list[str]:
    with ChatStore(file) as store:
        return [one.title for one in store.conversations()]


def test_three_days_are_kept_and_the_oldest_gives_way(file: Path) -> None:
    for day in range(5):
        talk(file, f"day {day}", NOON + day * DAY - timedelta(hours=1))
        assert backed_up(file, NOON + day * DAY) is not None
    assert [made_at(copy) for copy in backups(file)] == [NOON + day * DAY for day in (4, 3, 2)]
    assert all(is_sound(copy) for copy in backups(file))


def test_there_is_one_a_day_and_none_of_what_has_not_changed(file: Path) -> None:
    talk(file, "one", NOON - DAY)
    assert backed_up(file, NOON) is not None
    talk(file, "two", NOON + timedelta(hours=1))
    assert backed_up(file, NOON + timedelta(hours=2)) is None
    assert backed_up(file, NOON + DAY) is not None
    assert backed_up(file, NOON + 9 * DAY) is None


def test_there_is_nothing_to_copy_before_anything_was_said(file: Path) -> None:
    assert backup_if_due(file) is None
    assert list(file.parent.iterdir()) == []


def test_what_is_still_in_the_journal_is_copied_too(file: Path) -> None:
    with ChatStore(file) as store:
        store.create(title="said a moment ago")
        copy = backup_if_due(file)
    assert copy is not None
    assert restored(file) == ["said a moment ago"]


def restored(file: Path) -> list[str]:
    file.unlink()
    assert restore_backup(file) is not None
    return titles(file)


def test_the_newest_sound_one_is_restored(file: Path) -> None:
    for day in range(2):
        talk(file, f"day {day}", NOON + day * DAY - timedelta(hours=1))
        backed_up(file, NOON + day * DAY)
    newest = backups(file)[0]
    newest.write_bytes(newest.read_bytes()[:5000])
    assert restored(file) == ["day 0"]


def test_a_damaged_database_takes_the_place_of_no_backup(file: Path) -> None:
    talk(file, "one", NOON - DAY)
    backed_up(file, NOON)
    content = bytearray(file.read_bytes())
    content[4096 : 4096 * 3] = b"\xff" * 4096 * 2
    file.write_bytes(content)
    with pytest.raises(Exception, match=r"malformed|damaged"):
        backup_if_due(file, now=NOON + DAY)
    assert [made_at(copy) for copy in backups(file)] == [NOON]
    assert not list(file.parent.glob("backups/*.new"))


def test_what_a_kill_left_of_a_copy_goes_with_the_next(file: Path) -> None:
    talk(file, "one", NOON - DAY)
    folder = file.with_name("backups")
    folder.mkdir()
    for name in ("chats-20260101-000000.sqlite3.new", "chats-20260101-000000.sqlite3.new-journal"):
        (folder / name).write_bytes(b"half")
    copy = backed_up(file, NOON)
    assert list(folder.iterdir()) == [copy]
