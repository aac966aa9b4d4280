"""What downloads that run at the same time share: the disk's free space, and files two of them want."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from app.domain.errors import NotEnoughSpace

__all__ = ["DiskShare", "free_bytes"]

# Room for the rest of the system to go on working; of a small disk, a twentieth.
_RESERVE_BYTES: Final = 200_000_000
_RESERVE_SHARE: Final = 20


def free_bytes(folder: Path) -> int:
    """The space left on the disk that holds `folder`, which need not exist yet."""
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _reserve_bytes(folder: Path) -> int:
    return min(_RESERVE_BYTES, shutil.disk_usage(_existing(folder)).total // _RESERVE_SHARE)


class DiskShare:
    """Owned by the service loop."""

    def __init__(self, free_bytes: Callable[[Path], int] = free_bytes) -> None:
        self._free_bytes = free_bytes
        self._locks: dict[Path, asyncio.Lock] = {}
        self._wanted: Counter[Path] = Counter()
        self._reserved: dict[object, Callable[[], int]] = {}

    def is_wanted(self, target: Path) -> bool:
        """Whether somebody works on this file, or waits for it."""
        return target in self._wanted

    @asynccontextmanager
    async def alone_with(self, target: Path) -> AsyncIterator[None]:
        """For the one download that works on a file: two quantizations of a model share their projector."""
        self._wanted[target] += 1
        try:
            async with self._locks.setdefault(target, asyncio.Lock()):
                yield
        finally:
            self._wanted[target] -= 1
            if not self._wanted[target]:
                del self._wanted[target], self._locks[target]

    @contextmanager
    def reserve(self, folder: Path, needed_bytes: int, left_bytes: Callable[[], int]) -> Iterator[None]:
        """Set aside space while a download runs; `left_bytes` says what it still needs. Raises NotEnoughSpace."""
        lacking = self.lacks(folder, needed_bytes)
        if lacking is not None:
            raise lacking
        key = object()
        self._reserved[key] = left_bytes
        try:
            yield
        finally:
            del self._reserved[key]

    def is_full(self, folder: Path, needed_bytes: int) -> NotEnoughSpace:
        """The error for a disk that filled up while a download ran."""
        needed_bytes += _reserve_bytes(folder)
        return NotEnoughSpace(needed_bytes=needed_bytes, free_bytes=self._free_bytes(folder), folder=folder)

    def lacks(self, folder: Path, needed_bytes: int) -> NotEnoughSpace | None:
        """The error for what does not fit beside what others have set aside; None if it does."""
        if not needed_bytes:
            return None
        needed_bytes += sum(left() for left in self._reserved.values()) + _reserve_bytes(folder)
        free = self._free_bytes(folder)
        return NotEnoughSpace(needed_bytes=needed_bytes, free_bytes=free, folder=folder) if needed_bytes > free else None
