"""Backups of the conversations, made while the program runs."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.chats import backup_if_due
from app.library.undisturbed import undisturbed

__all__ = ["BackupKeeper"]

_log = logging.getLogger(__name__)
# The program may run for weeks. The first look comes when the start is over.
_FIRST_S: Final = 60.0
_EVERY_S: Final = 3600.0


class BackupKeeper:
    """Looks every hour whether a backup is due. Owned by the service loop; copies are made on another thread."""

    def __init__(self, file: Path, *, first_s: float = _FIRST_S, every_s: float = _EVERY_S) -> None:
        self._file = file
        self._first_s = first_s
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="backups")

    async def close(self) -> None:
        """A copy under way is finished first."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep(self) -> None:
        await asyncio.sleep(self._first_s)
        while True:
            await undisturbed(self._look)
            await asyncio.sleep(self._every_s)

    def _look(self) -> None:
        try:
            copy = backup_if_due(self._file)
        except (sqlite3.Error, OSError) as error:
            _log.warning("The conversations could not be backed up: %s", error)
        else:
            if copy is not None:
                _log.info("The conversations were backed up as %s", copy)
