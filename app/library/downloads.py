"""Bringing models from the hub to the disk, whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.domain.errors import (
    AlreadyDownloading,
    AppError,
    DownloadError,
    FolderMoving,
    InvalidRequest,
    NotEnoughSpace,
    RepositoryNotFound,
)
from app.domain.models import DownloadProgress, DownloadState, RemoteFile, RemoteRepository
from app.domain.observable import Observable
from app.library.disk_share import DiskShare, free_bytes
from app.library.download_entry import DownloadEntry, Stop
from app.library.download_records import DownloadRecord, DownloadRecords
from app.library.hub import Hub
from app.library.moving_mark import is_moving
from app.library.retry_policy import RetryPolicy
from app.library.turns import Turns
from app.library.undisturbed import undisturbed
from app.library.web_file import web_file
from app.settings import Settings, SettingsStore

if TYPE_CHECKING:
    from app.library.fetch import Fetcher

__all__ = ["DownloadManager"]

_log = logging.getLogger(__name__)
# Who waits for longer lets others go first.
_SHORT_S: Final = 5.0
_OFFLINE: Final = "Hearth is set to stay offline. It goes on when that is switched off in the settings."


class DownloadManager:
    """Runs downloads into `<folder>/<org>/<repo>/<file>.gguf`. Owned by the service loop.

    While a file arrives it is `<file>.gguf.part`, with `<file>.gguf.part.json` beside it. A download's id is its repository and
    first file: starting it a second time while it is under way changes nothing. `changed` tells of each step, `listed` of the
    whole list when its order or what is in it changes. With `records`, downloads outlive the program: see `restore`.
    """

    def __init__(
        self,
        hub: Hub,
        settings: SettingsStore,
        folder: Callable[[], Path],
        records: DownloadRecords | None = None,
        *,
        policy: RetryPolicy | None = None,
        free_bytes: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.changed: Observable[DownloadProgress] = Observable()
        self.listed: Observable[tuple[DownloadProgress, ...]] = Observable()
        self._hub = hub
        self._settings = settings
        self._folder = folder
        self._records = records
        self._policy = policy or RetryPolicy()
        self._disk = DiskShare(free_bytes)
        self._entries: dict[str, DownloadEntry] = {}
        self._turns = Turns(self._limit, lambda: self._entries)
        self._fetcher: asyncio.Task[Fetcher] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._unsaved = False
        self._closing = False
        self._unsubscribe = settings.changed.subscribe(self._settings_changed)
        self._offline = settings.current.hub_offline or hub.access.offline
        self._way = (settings.current.hub_endpoint, settings.current.hub_proxy)

    @property
    def downloads(self) -> tuple[DownloadProgress, ...]:
        """In the order in which they get their turns; finished ones stay in it until they are forgotten."""
        return tuple(entry.progress for entry in self._entries.values())

    async def restore(self, wanted: Callable[[DownloadRecord], bool] = lambda _: True) -> None:
        """Take up what this program, or another that has ended, had not finished. What a person paused stays paused."""
        if self._records is None:
            return
        try:
            records = await undisturbed(self._records.take, wanted)
        except OSError as error:
            _log.warning("The list of downloads can't be read: %s", error)
            return
        for record in records:
            if record.id not in self._entries:
                await self._take_up(record)
        self._list_changed()

    def start(
        self,
        repository: RemoteRepository,
        file: RemoteFile,
        projector: RemoteFile | None = None,
        *,
        also: Sequence[RemoteFile] = (),
    ) -> str:
        """Begin, or take up again, a download of `file`, its projector and whatever else belongs to it; return its id.

        Failures are told through `changed`.
        """
        files = (file, *((projector,) if projector is not None else ()), *also)
        download_id = f"{repository.id}/{file.label}"
        known = self._entries.get(download_id)
        if known is not None and (known.working or known.state is DownloadState.PAUSED):
            if known.working and known.stop is Stop.CANCEL:
                known.stop, known.forgotten = Stop.ANEW, False
            if not known.working or known.stop is Stop.ANEW:
                # The listing may be newer.
                known.repository, known.files = repository, files
            self.resume(download_id)
            return download_id
        # Taken out first, so that it moves to the end.
        self._entries.pop(download_id, None)
        entry = self._entries[download_id] = self._new_entry(repository, files, self._folder())
        self._launch(entry)
        self._list_changed()
        return download_id

    def pause(self, download_id: str) -> None:
        """Stop, and keep what has arrived."""
        entry = self._entries.get(download_id)
        if entry is not None and entry.working and entry.stop not in (Stop.CANCEL, Stop.ANEW):
            self._interrupt(entry, Stop.PAUSE)

    def resume(self, download_id: str) -> None:
        """Go on with a paused one in its place in the list; one that waits for another try does so now."""
        entry = self._entries.get(download_id)
        if entry is None:
            return
        if entry.working:
            entry.hurry.set()
            if entry.stop is Stop.PAUSE:
                entry.stop = Stop.AGAIN
        elif entry.state is DownloadState.PAUSED:
            self._launch(entry)

    def retry(self, download_id: str) -> None:
        """Try a failed, cancelled, paused or waiting one again; a failed one with what the hub has by now."""
        entry = self._entries.get(download_id)
        if entry is not None and not entry.working and entry.state in (DownloadState.FAILED, DownloadState.CANCELLED):
            entry.outdated = True
            self._launch(entry)
        else:
            self.resume(download_id)

    def cancel(self, download_id: str) -> None:
        """Stop and delete what has arrived."""
        entry = self._entries.get(download_id)
        if entry is None:
            return
        if entry.working:
            self._interrupt(entry, Stop.CANCEL)
        elif entry.state in (DownloadState.PAUSED, DownloadState.FAILED):
            entry.stop, entry.error = Stop.CANCEL, None
            self._begin(entry, self._discard(entry))

    def forget(self, download_id: str) -> None:
        """Take it off the list if it is over. What a failed one left is deleted."""
        entry = self._entries.get(download_id)
        if entry is None or not entry.over:
            return
        if entry.state is DownloadState.FAILED:
            entry.forgotten = True
            self.cancel(download_id)
        else:
            self._drop(entry)

    def move(self, download_id: str, index: int) -> None:
        """Give it another place in the list, 0 being the first. What runs goes on running."""
        entry = self._entries.pop(download_id, None)
        if entry is None:
            return
        order = list(self._entries.values())
        order.insert(max(0, index), entry)
        self._entries = {entry.id: entry for entry in order}
        self._turns.deal()
        self._list_changed()

    def pause_all(self) -> None:
        for download_id in tuple(self._entries):
            self.pause(download_id)

    def resume_all(self) -> None:
        for download_id in tuple(self._entries):
            self.resume(download_id)

    async def wait(self, download_id: str) -> DownloadProgress:
        """Its state once it no longer goes on by itself. Raises the AppError that ended it."""
        entry = self._entries.get(download_id)
        if entry is None:
            raise InvalidRequest(f"There is no download '{download_id}'.", param="download_id")
        await entry.settled.wait()
        if entry.error is not None:
            raise entry.error
        return entry.progress

    async def close(self) -> None:
        """Stop transfers; what has arrived stays and is taken up by the next run."""
        self._closing = True
        self._unsubscribe()
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None and not entry.task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._fetcher is not None:
            await (await self._fetcher).close()
            self._fetcher = None
        # What is told from now on is not noted any more: the notes may be another program's by then.
        records, self._records = self._records, None
        if self._saving is not None:
            await self._saving
        if records is not None:
            await undisturbed(records.close)

    def _new_entry(self, repository: RemoteRepository, files: tuple[RemoteFile, ...], folder: Path) -> DownloadEntry:
        return DownloadEntry(repository, files, folder, self._disk, self._told)

    async def _take_up(self, record: DownloadRecord) -> None:
        repository = RemoteRepository(record.repository, record.revision, record.files)
        entry = self._entries[record.id] = self._new_entry(repository, record.files, record.folder)
        done_bytes = await undisturbed(entry.job.on_disk_bytes)
        match record.state:
            case DownloadState.CANCELLED:
                entry.stop = Stop.CANCEL
                self._begin(entry, self._discard(entry))
            case DownloadState.PAUSED | DownloadState.FAILED:
                entry.error = DownloadError(record.error) if record.error else None
                entry.settled.set()
                entry.tell(record.state, error=record.error, done_bytes=done_bytes)
            case _:
                self._launch(entry, done_bytes)

    def _launch(self, entry: DownloadEntry, done_bytes: int | None = None) -> None:
        entry.stop = entry.error = None
        before = entry.progress.done_bytes if done_bytes is None else done_bytes
        entry.new_job()
        self._begin(entry, self._run(entry))
        self._tell_queued(entry, done_bytes=min(before, entry.job.total_bytes))

    def _begin(self, entry: DownloadEntry, work: Coroutine[None, None, None]) -> None:
        entry.settled.clear()
        entry.task = asyncio.get_running_loop().create_task(work, name=f"download {entry.id}")
        entry.task.add_done_callback(lambda task: self._finished(entry, task))

    def _interrupt(self, entry: DownloadEntry, stop: Stop) -> None:
        again = entry.stop is None
        entry.stop = stop
        entry.error = None
        entry.settled.clear()
        if again and entry.task is not None:
            entry.task.cancel()
        self._save()

    async def _run(self, entry: DownloadEntry) -> None:
        """Until everything is installed, however long it takes."""
        while not await self._attempt(entry):
            entry.new_job()
            self._tell_queued(entry)

    async def _attempt(self, entry: DownloadEntry) -> bool:
        """Whether that was all; what stands in the way has been waited for otherwise."""
        await self._turns.take(entry.id)
        try:
            entry.tell(DownloadState.RUNNING, done_bytes=entry.progress.done_bytes)
            if entry.outdated:
                await self._look_again(entry)
            await self._find_folder(entry)
            fetcher = await self._shared_fetcher()
            await entry.job.run(fetcher, partial(self._pause, entry), partial(self._stand_aside, entry))
            return True
        except (AlreadyDownloading, FolderMoving) as error:
            obstacle: DownloadError = error
        except NotEnoughSpace as error:
            obstacle = error
        finally:
            self._turns.give_back(entry.id)
        match obstacle:
            case NotEnoughSpace():
                await self._wait_for_room(entry, obstacle)
            case _:
                entry.tell(DownloadState.WAITING, error=str(obstacle), retry_at=_in(self._policy.busy_s))
                await self._rest(entry, self._policy.busy_s)
        return False

    async def _look_again(self, entry: DownloadEntry) -> None:
        """Have the files as they are now: a new version may have taken their place."""
        if urls := entry.files[0].urls:
            listing, _ = await web_file(self._hub.access, urls[0])
        else:
            listing = await self._hub.repository(entry.repository.id)
        by_label = {file.label: file for file in listing.files}
        gone = next((file.label for file in entry.files if file.label not in by_label), None)
        if gone is not None:
            raise RepositoryNotFound(f"{gone} is no longer in {entry.repository.id}.")
        entry.files = tuple(by_label[file.label] for file in entry.files)
        entry.repository = replace(listing, id=entry.repository.id)
        entry.outdated = False
        entry.new_job()
        self._save()

    async def _find_folder(self, entry: DownloadEntry) -> None:
        """What has arrived of it may have been moved to another folder; what has not begun goes where downloads go now."""
        # Another program may have moved the models folder.
        self._settings.reread()
        folder = self._folder()
        if folder != entry.folder and not await asyncio.to_thread(entry.job.on_disk_bytes):
            entry.folder = folder
            entry.new_job()
            self._save()

    async def _wait_for_room(self, entry: DownloadEntry, full: NotEnoughSpace) -> None:
        entry.error = full
        entry.tell(DownloadState.PAUSED, error=str(full))
        entry.settled.set()
        while not await self._rest(entry, self._policy.space_s):
            if not await asyncio.to_thread(entry.job.lacks_space):
                break
        entry.error = None
        entry.settled.clear()

    async def _pause(self, entry: DownloadEntry, reason: str, pause_s: float) -> None:
        """Between two tries of a transfer."""
        entry.tell(DownloadState.WAITING, error=reason, retry_at=_in(pause_s))
        rest = self._rest(entry, pause_s)
        await (self._without_turn(entry, rest) if pause_s > _SHORT_S else rest)
        entry.tell(DownloadState.RUNNING)

    async def _stand_aside(self, entry: DownloadEntry, wait: Awaitable[None]) -> None:
        """While another download has a file that this one needs too."""
        self._tell_queued(entry)
        await self._without_turn(entry, wait)
        entry.tell(DownloadState.RUNNING)

    async def _without_turn(self, entry: DownloadEntry, wait: Awaitable[object]) -> None:
        """Who waits for a file must not have a turn: whoever has the file may need one to be done with it."""
        self._turns.give_back(entry.id)
        await wait
        self._tell_queued(entry)
        await self._turns.take(entry.id)

    async def _rest(self, entry: DownloadEntry, pause_s: float) -> bool:
        """Whether somebody wanted to go on at once."""
        entry.hurry.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(entry.hurry.wait(), pause_s)
        return entry.hurry.is_set()

    async def _discard(self, entry: DownloadEntry) -> None:
        while await asyncio.to_thread(is_moving, entry.folder):
            await self._rest(entry, self._policy.busy_s)
        await self._find_folder(entry)
        await entry.job.discard()

    async def _shared_fetcher(self) -> Fetcher:
        if self._fetcher is None:
            self._fetcher = asyncio.ensure_future(asyncio.to_thread(_new_fetcher, self._hub, self._policy, self._settings))
        return await asyncio.shield(self._fetcher)

    def _finished(self, entry: DownloadEntry, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not entry.job.installed:
            match entry.stop:
                case Stop.PAUSE:
                    entry.tell(DownloadState.PAUSED)
                case _ if self._closing:
                    # The next run goes on.
                    pass
                case Stop.CANCEL | Stop.ANEW:
                    self._begin(entry, self._discard(entry))
                    return
                case Stop.AGAIN:
                    self._launch(entry)
                    return
        elif entry.stop is Stop.ANEW and not entry.job.installed and not self._closing:
            self._launch(entry)
            return
        elif entry.forgotten:
            self._drop(entry)
        else:
            self._ended(entry, None if task.cancelled() else task.exception())
        entry.settled.set()

    def _ended(self, entry: DownloadEntry, error: BaseException | None) -> None:
        match error:
            case None if entry.job.installed:
                # Also where a cancel came too late.
                entry.tell(DownloadState.DONE)
            case None:
                entry.tell(DownloadState.CANCELLED)
            case AppError():
                entry.error = error
                entry.tell(DownloadState.FAILED, error=str(error))
            case _:
                _log.error("The download of %s failed", entry.id, exc_info=error)
                entry.error = DownloadError("The download failed because of an error in Hearth. The log has the details.")
                entry.tell(DownloadState.FAILED, error=str(entry.error))

    def _drop(self, entry: DownloadEntry) -> None:
        if self._entries.get(entry.id) is entry:
            del self._entries[entry.id]
        self._list_changed()

    def _tell_queued(self, entry: DownloadEntry, *, done_bytes: int | None = None) -> None:
        done_bytes = entry.progress.done_bytes if done_bytes is None else done_bytes
        if self._offline:
            entry.tell(DownloadState.WAITING, error=_OFFLINE, done_bytes=done_bytes)
        else:
            entry.tell(DownloadState.QUEUED, done_bytes=done_bytes)

    def _limit(self) -> int:
        return 0 if self._offline else self._settings.current.simultaneous_downloads

    def _settings_changed(self, settings: Settings) -> None:
        offline, way = settings.hub_offline or self._hub.access.offline, (settings.hub_endpoint, settings.hub_proxy)
        if (offline, way) != (self._offline, self._way):
            self._offline, self._way = offline, way
            for entry in tuple(self._entries.values()):
                if entry.working and entry.stop is None and not entry.settled.is_set():
                    self._interrupt(entry, Stop.AGAIN)
        self._turns.deal()

    def _told(self, entry: DownloadEntry, before: DownloadState) -> None:
        if entry.state is not before:
            self._save()
        self.changed.notify(entry.progress)

    def _list_changed(self) -> None:
        self._save()
        self.listed.notify(self.downloads)

    def _save(self) -> None:
        """Have the list written, soon: once for all that changes meanwhile."""
        self._unsaved = True
        if self._records is not None and (self._saving is None or self._saving.done()):
            self._saving = asyncio.get_running_loop().create_task(self._write(self._records))

    async def _write(self, records: DownloadRecords) -> None:
        while self._unsaved:
            self._unsaved = False
            left = [record for entry in self._entries.values() if (record := entry.record) is not None]
            try:
                await undisturbed(records.write, left)
            except OSError as error:
                _log.warning("The list of downloads can't be written: %s", error)


def _in(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _new_fetcher(hub: Hub, policy: RetryPolicy, settings: SettingsStore) -> Fetcher:
    # 0.2 s to import: not before somebody downloads something.
    from app.library.fetch import Fetcher

    return Fetcher(hub, policy, settings)
