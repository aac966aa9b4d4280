"""Noticing that files appeared or vanished."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from app.library.listing import Places
from app.library.look import Seen
from app.library.undisturbed import undisturbed

__all__ = ["FolderWatch"]

_log = logging.getLogger(__name__)
# Looking takes a tenth of the time at most, but is done at least so often.
_QUIET: Final = 10
_MOST_S: Final = 30.0
# Stores of other programs may come up in places that nothing was read from: now and then everything is read again.
_STALE_S: Final = 60.0


class FolderWatch:
    """Looks every few seconds whether the last listing is still right. Owned by the service loop.

    Times of folders and files are compared, which works on every file system and costs a millisecond for hundreds of files.
    """

    def __init__(
        self, places: Callable[[], Places], refresh: Callable[[], Awaitable[object]], clock: Callable[[], float]
    ) -> None:
        """`places` are where to look by the settings of the moment, `refresh` lists anew."""
        self._places = places
        self._refresh = refresh
        self._clock = clock
        self._listed: tuple[Places, Seen] | None = None
        self._listed_at = -math.inf
        self._took_s = 0.0
        self._task: asyncio.Task[None] | None = None

    def note(self, places: Places, seen: Seen, took_s: float) -> None:
        """What was just listed, what it looked like, and how long that took."""
        self._listed = places, seen
        self._listed_at = self._clock()
        self._took_s = took_s

    def start(self, every_s: float) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch(every_s), name="models folders")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _watch(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(min(max(every_s, _QUIET * self._took_s), max(every_s, _MOST_S)))
            try:
                if await self._is_outdated():
                    await self._refresh()
            except OSError as error:
                _log.warning("The models folders can't be read: %s", error)

    async def _is_outdated(self) -> bool:
        begun = self._clock()
        if self._listed is None or begun - self._listed_at > _STALE_S:
            return True
        places, seen = self._listed
        changed = await undisturbed(seen.has_changed)
        self._took_s = self._clock() - begun
        return changed or self._places() != places
