from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from app.chats import ChatStore
from app.chats.backups import backups
from app.service.backup_keeper import BackupKeeper


async def kept_for_a_moment(file: Path, *, first_s: float = 0.0) -> None:
    keeper = BackupKeeper(file, first_s=first_s)
    keeper.start()
    for _ in range(5):
        await asyncio.sleep(0)
    await keeper.close()


def test_a_copy_is_made_once_the_start_is_over_and_is_whole_when_the_program_closes(tmp_path: Path) -> None:
    file = tmp_path / "chats.sqlite3"
    with ChatStore(file) as store:
        store.create(title="kept")
        asyncio.run(kept_for_a_moment(file, first_s=60))
        assert backups(file) == ()
        asyncio.run(kept_for_a_moment(file))
    (copy,) = backups(file)
    with ChatStore(copy) as store:
        assert [one.title for one in store.conversations()] == ["kept"]


def test_a_copy_that_can_not_be_made_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "chats.sqlite3"
    file.write_bytes(b"no database" * 1000)
    with caplog.at_level(logging.WARNING):
        asyncio.run(kept_for_a_moment(file))
    assert "could not be backed up" in caplog.text
    assert backups(file) == ()
