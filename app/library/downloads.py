"""Bringing models from the hub to the disk, whole or not at all."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.domain.errors import DownloadError, InvalidRequest
from app.domain.models import DownloadProgress, DownloadState, RemoteFile, RemoteRepository
from app.domain.observable import Observable
from app.library.disk_share import DiskShare, free_bytes
from app.library.download_job import DownloadJob
from app.library.hub import Hub
from app.library.retry_policy import RetryPolicy
from app.library.speed import SpeedMeter

if TYPE_CHECKING:
    from app.library.fetch import Fetcher

__all__ = ["DownloadManager"]

_log = logging.getLogger(__name__)
_SIMULTANEOUS: Final = 2
_NOTIFY_S: Final = 0.2
_UNDER_WAY: Final = frozenset({DownloadState.QUEUED, DownloadState.RUNNING, DownloadState.VERIFYING})


@dataclass(slots=True)
class _Entry:
    progress: DownloadProgress
    job: DownloadJob
    task: asyncio.Task[None] | None = None
    cancelled: bool = False
    error: DownloadError | None = None
    speed: SpeedMeter = field(default_factory=SpeedMeter)
    told_at: float = 0.0


class DownloadManager:
    """Runs downloads into `<folder>/<org>/<repo>/<file>.gguf`. Owned by the service loop.

    While a file arrives it is `<file>.gguf.part`, with `<file>.gguf.part.json` beside it. A download's id is its repository and
    first file: starting it a second time while it is under way changes nothing.
    """

    def __init__(
        self,
        hub: Hub,
        folder: Path,
        *,
        policy: RetryPolicy | None = None,
        free_bytes: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.changed: Observable[DownloadProgress] = Observable()
        self._hub = hub
        self._folder = folder
        self._policy = policy or RetryPolicy()
        self._disk = DiskShare(free_bytes)
        self._turns = asyncio.Semaphore(_SIMULTANEOUS)
        self._entries: dict[str, _Entry] = {}
        self._fetcher: asyncio.Task[Fetcher] | None = None

    @property
    def downloads(self) -> tuple[DownloadProgress, ...]:
        """This session's downloads, oldest first."""
        return tuple(entry.progress for entry in self._entries.values())

    def start(self, repository: RemoteRepository, file: RemoteFile, projector: RemoteFile | None = None) -> str:
        """Begin, or take up again, a download; return its id. Failures are told through `changed`."""
        download_id = f"{repository.id}/{file.label}"
        known = self._entries.get(download_id)
        if known is not None and known.progress.state in _UNDER_WAY:
            return download_id
        files = (file, projector) if projector is not None else (file,)
        job = DownloadJob(self._folder, repository, files, self._disk, lambda: self._job_changed(entry))
        progress = DownloadProgress(download_id, repository.id, file.label, DownloadState.QUEUED, 0, job.total_bytes)
        entry = _Entry(progress, job)
        # Taken out first, so that it moves to the end.
        self._entries.pop(download_id, None)
        self._entries[download_id] = entry
        entry.task = asyncio.get_running_loop().create_task(self._run(entry), name=f"download {download_id}")
        entry.task.add_done_callback(lambda task: self._finished(entry, task))
        self.changed.notify(progress)
        return download_id

    def cancel(self, download_id: str) -> None:
        """Stop and delete what has arrived of it."""
        entry = self._entries.get(download_id)
        if entry is not None and entry.task is not None and not entry.task.done():
            entry.cancelled = True
            entry.task.cancel()

    async def wait(self, download_id: str) -> DownloadProgress:
        """Its last state. Raises the DownloadError it failed with."""
        entry = self._entries.get(download_id)
        if entry is None or entry.task is None:
            raise InvalidRequest(f"There is no download '{download_id}'.", param="download_id")
        await asyncio.wait({entry.task})
        if entry.error is not None:
            raise entry.error
        return entry.progress

    async def close(self) -> None:
        """Stop transfers; what has arrived stays and is taken up at the next start of the same download."""
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None and not entry.task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._fetcher is not None:
            await (await self._fetcher).close()
            self._fetcher = None

    async def _run(self, entry: _Entry) -> None:
        try:
            async with self._turns:
                self._tell(entry, state=DownloadState.RUNNING)
                await entry.job.run(await self._shared_fetcher())
        finally:
            if entry.cancelled:
                await entry.job.discard()

    async def _shared_fetcher(self) -> Fetcher:
        if self._fetcher is None:
            self._fetcher = asyncio.ensure_future(asyncio.to_thread(_new_fetcher, self._hub, self._policy))
        return await asyncio.shield(self._fetcher)

    def _job_changed(self, entry: _Entry) -> None:
        """Tell at most five times a second, but at once when the state changes."""
        now = time.monotonic()
        state = DownloadState.VERIFYING if entry.job.verifying else DownloadState.RUNNING
        if state is DownloadState.RUNNING:
            if entry.progress.state is DownloadState.VERIFYING:
                # What was read from the disk did not come over the network.
                entry.speed = SpeedMeter()
            entry.speed.add(now, entry.job.done_bytes)
        if state is not entry.progress.state or now - entry.told_at >= _NOTIFY_S:
            entry.told_at = now
            self._tell(entry, state=state)

    def _tell(self, entry: _Entry, *, state: DownloadState, error: str | None = None) -> None:
        moving = state is DownloadState.RUNNING
        entry.progress = replace(
            entry.progress,
            state=state,
            done_bytes=entry.job.done_bytes,
            bytes_per_s=entry.speed.bytes_per_s if moving else 0.0,
            eta_s=entry.speed.eta_s(entry.progress.total_bytes - entry.job.done_bytes) if moving else None,
            error=error,
        )
        self.changed.notify(entry.progress)

    def _finished(self, entry: _Entry, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            if entry.job.installed:
                # The cancel came too late.
                self._tell(entry, state=DownloadState.DONE)
            elif entry.cancelled:
                # Otherwise the program is closing: the download is neither done nor given up.
                self._tell(entry, state=DownloadState.CANCELLED)
            return
        match task.exception():
            case None:
                self._tell(entry, state=DownloadState.DONE)
            case DownloadError() as error:
                entry.error = error
                self._tell(entry, state=DownloadState.FAILED, error=str(error))
            case error:
                _log.error("The download of %s failed", entry.progress.id, exc_info=error)
                entry.error = DownloadError("The download failed because of an error in Hearth. The log has the details.")
                self._tell(entry, state=DownloadState.FAILED, error=str(entry.error))


def _new_fetcher(hub: Hub, policy: RetryPolicy) -> Fetcher:
    # 0.2 s to import: not before somebody downloads something.
    from app.library.fetch import Fetcher

    return Fetcher(hub, policy)
