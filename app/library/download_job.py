"""One download: all files of a model, arriving one after the other and installed together."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from app.domain.errors import ChecksumMismatch, DownloadError, FolderMoving
from app.domain.models import RemoteFile, RemoteRepository
from app.library.disk_share import DiskShare
from app.library.local_names import local_path
from app.library.moving_mark import is_moving
from app.library.part_file import Expected, PartFile, already_there
from app.library.provenance import Provenance, provenance_of, record_provenance
from app.library.undisturbed import undisturbed

if TYPE_CHECKING:
    from app.library.fetch import Fetcher, Pause

__all__ = ["DownloadJob"]

StandAside: TypeAlias = Callable[[Awaitable[None]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Item:
    """One file; `url` is "" where the hub has it."""

    expected: Expected
    target: Path
    url: str


class DownloadJob:
    """Runs once, on the service loop; `on_change` is called there when `done_bytes` or `verifying` changed."""

    def __init__(
        self,
        folder: Path,
        repository: RemoteRepository,
        files: Sequence[RemoteFile],
        disk: DiskShare,
        on_change: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._repository = repository
        self._items = [item for file in files for item in _items(folder, repository, file)]
        self._disk = disk
        self._on_change = on_change
        self._parts: list[PartFile] = []
        self._finished_bytes = 0
        self.total_bytes = sum(item.expected.size_bytes for item in self._items)
        self.verifying = False
        self.installed = False

    @property
    def done_bytes(self) -> int:
        return self._finished_bytes + sum(part.have_bytes for part in self._parts)

    async def run(self, fetcher: Fetcher, pause: Pause, stand_aside: StandAside) -> None:
        """Fetch, verify and install every file, or none. Raises DownloadError; what has arrived stays on the disk.

        `stand_aside` awaits what it is given: that another download is done with a file.
        """
        try:
            needed_bytes = await asyncio.to_thread(self._needed_bytes)
            with self._disk.reserve(self._folder, needed_bytes, self._left_bytes):
                await self._run(fetcher, pause, stand_aside)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._disk.is_full(self._folder, self._left_bytes()) from error
            raise DownloadError(f"{self._folder} can't be written: {error.strerror or error}.") from error

    def on_disk_bytes(self) -> int:
        """How much of it is here already, by the sizes of files and the notes beside them. Blocks on the disk."""
        return sum(
            item.expected.size_bytes
            if _has_size(item.target, item.expected.size_bytes)
            else PartFile(item.target, item.expected).on_disk_bytes()
            for item in self._items
        )

    def _needed_bytes(self) -> int:
        """The room that it does not take yet."""
        return sum(
            item.expected.size_bytes - PartFile(item.target, item.expected).taken_bytes()
            for item in self._items
            if not _has_size(item.target, item.expected.size_bytes)
        )

    def lacks_space(self) -> bool:
        """Whether there is no room for what is still to come. Blocks on the disk."""
        return self._disk.lacks(self._folder, self._needed_bytes()) is not None

    async def discard(self) -> None:
        """Delete what has arrived, in this run or an earlier one, but nothing that another download works on."""
        for item in self._items:
            if not self._disk.is_wanted(item.target):
                async with self._disk.alone_with(item.target):
                    await undisturbed(PartFile(item.target, item.expected).discard)
                    await undisturbed(self._remove_empty, item.target.parent)
        self._parts = []

    async def _run(self, fetcher: Fetcher, pause: Pause, stand_aside: StandAside) -> None:
        async with AsyncExitStack() as held:
            try:
                for item in self._items:
                    is_wanted = self._disk.is_wanted(item.target)
                    entering = held.enter_async_context(self._disk.alone_with(item.target))
                    await (stand_aside(entering) if is_wanted else entering)
                    await self._get(fetcher, item, pause)
                await undisturbed(self._install)
            finally:
                # Before the locks are let go: the next one may be waiting for the same file.
                await undisturbed(self._let_go)

    async def _get(self, fetcher: Fetcher, item: _Item, pause: Pause) -> None:
        expected = item.expected
        if await asyncio.to_thread(_has_size, item.target, expected.size_bytes):
            self._verify(True)
            if await asyncio.to_thread(self._is_there, item):
                self._finished_bytes += expected.size_bytes
                if expected.sha256:
                    # Who installed it may have been killed before it was noted.
                    await undisturbed(self._note, item, expected.sha256)
                return
        part = PartFile(item.target, expected)
        self._parts.append(part)
        try:
            await self._arrive(fetcher, part, item.url, pause)
        except ChecksumMismatch:
            was_taken_up = part.taken_up
            await undisturbed(part.discard)
            if not was_taken_up:
                raise
            # What an earlier run left may have been damaged by a power cut: once more, from the first byte.
            await self._arrive(fetcher, part, item.url, pause)

    def _is_there(self, item: _Item) -> bool:
        if not already_there(item.target, item.expected):
            return False
        if item.expected.sha256 is not None:
            return True
        # Nobody tells what is in it: only the note tells it from another file of the same size.
        note = provenance_of(item.target)
        return note is not None and note == self._provenance(item, note.sha256)

    async def _arrive(self, fetcher: Fetcher, part: PartFile, url: str, pause: Pause) -> None:
        await undisturbed(self._open, part)
        self._verify(False)
        await fetcher.fill(self._repository, part, self._on_change, pause, url=url)
        self._verify(True)
        await undisturbed(part.verify)

    def _open(self, part: PartFile) -> None:
        """Raises AlreadyDownloading, FolderMoving."""
        self._check_stays()
        part.open()
        # A move that begins from now on sees the open part, and does not move.
        self._check_stays()

    def _check_stays(self) -> None:
        if is_moving(self._folder):
            raise FolderMoving("The models folder is being moved. It goes on when that is done.")

    def _install(self) -> None:
        """All in one go, so that nobody cancels in between; the model's first file last: once it is there, all of it is."""
        for part in reversed(self._parts):
            part.install()
            item = next(item for item in self._items if item.expected is part.expected)
            self._note(item, part.expected.sha256 or part.sha256)
        self.installed = True

    def _note(self, item: _Item, sha256: str) -> None:
        """Where the file came from. A model without the note is a model all the same."""
        with contextlib.suppress(OSError):
            record_provenance(item.target, self._provenance(item, sha256))

    def _provenance(self, item: _Item, sha256: str) -> Provenance:
        expected = item.expected
        return Provenance(
            repository="" if item.url else self._repository.id,
            revision=expected.revision,
            # What follows may be the key to the file; everybody can read the note.
            name=item.url.partition("?")[0] or expected.name,
            size_bytes=expected.size_bytes,
            sha256=sha256,
        )

    def _let_go(self) -> None:
        """Keep what has arrived, but no empty files of a download that never began."""
        for part in self._parts:
            if part.have_bytes:
                part.close()
            else:
                part.discard()
                self._remove_empty(part.target.parent)

    def _remove_empty(self, folder: Path) -> None:
        with contextlib.suppress(OSError):
            while folder != self._folder:
                folder.rmdir()
                folder = folder.parent

    def _left_bytes(self) -> int:
        return max(0, self.total_bytes - self.done_bytes)

    def _verify(self, verifying: bool) -> None:
        if verifying != self.verifying:
            self.verifying = verifying
            self._on_change()


def _has_size(target: Path, size_bytes: int) -> bool:
    try:
        return target.stat().st_size == size_bytes
    except OSError:
        return False


def _items(folder: Path, repository: RemoteRepository, file: RemoteFile) -> list[_Item]:
    sizes = file.sizes or (file.size_bytes,)
    urls = file.urls or ("",) * len(file.names)
    return [
        _Item(Expected(name, repository.revision, size, sha256), local_path(folder, repository.id, name), url)
        for name, size, sha256, url in zip(file.names, sizes, file.sha256, urls, strict=True)
    ]
