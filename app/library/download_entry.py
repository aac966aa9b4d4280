"""One line of the list of downloads: what is to arrive, how far it is, and what its owner wants of it."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from app.domain.errors import AppError
from app.domain.models import DownloadProgress, DownloadState, RemoteFile, RemoteRepository
from app.library.disk_share import DiskShare
from app.library.download_job import DownloadJob
from app.library.download_records import DownloadRecord
from app.library.speed import SpeedMeter

__all__ = ["DownloadEntry", "Stop"]

_NOTIFY_S: Final = 0.2
_OVER: Final = frozenset({DownloadState.DONE, DownloadState.CANCELLED, DownloadState.FAILED})


class Stop(enum.Enum):
    """Why a download's task is cancelled: `ANEW` deletes what has arrived, as `CANCEL` does, and begins again."""

    PAUSE = enum.auto()
    CANCEL = enum.auto()
    AGAIN = enum.auto()
    ANEW = enum.auto()


class DownloadEntry:
    """Owned by the service loop, worked on by `DownloadManager`. `on_change` is called with each new `progress`.

    `stop` says why `task` was cancelled; `settled` is set while nothing goes on by itself but the wait for a full disk; `hurry`
    ends a pause. Of an `outdated` one the hub is asked again which files there are, before it goes on. A `forgotten` one leaves
    the list once what it left is deleted.
    """

    def __init__(
        self,
        repository: RemoteRepository,
        files: tuple[RemoteFile, ...],
        folder: Path,
        disk: DiskShare,
        on_change: Callable[[DownloadEntry, DownloadState], None],
    ) -> None:
        self.repository = repository
        self.files = files
        self.folder = folder
        self._disk = disk
        self._on_change = on_change
        self._speed = SpeedMeter()
        self._told_at = 0.0
        self.task: asyncio.Task[None] | None = None
        self.stop: Stop | None = None
        self.error: AppError | None = None
        self.forgotten = False
        self.outdated = False
        self.settled = asyncio.Event()
        self.hurry = asyncio.Event()
        self.job = self.new_job()
        self.progress = DownloadProgress(
            id=f"{repository.id}/{files[0].label}",
            repository=repository.id,
            label=files[0].label,
            state=DownloadState.QUEUED,
            done_bytes=0,
            total_bytes=self.job.total_bytes,
            n_files=sum(len(file.names) for file in files),
        )

    @property
    def id(self) -> str:
        return self.progress.id

    @property
    def state(self) -> DownloadState:
        return self.progress.state

    @property
    def working(self) -> bool:
        return self.task is not None and not self.task.done()

    @property
    def over(self) -> bool:
        """Whether it is done, given up, or failed for good."""
        return self.state in _OVER and not self.working

    @property
    def record(self) -> DownloadRecord | None:
        """What the next run of the program needs; None if nothing is left to do."""
        cancelling = self.stop is Stop.CANCEL and self.state is not DownloadState.CANCELLED
        match self.state:
            case DownloadState.DONE | DownloadState.CANCELLED:
                return None
            case _ if cancelling:
                state = DownloadState.CANCELLED
            case DownloadState.FAILED:
                state = DownloadState.FAILED
            case DownloadState.PAUSED if not self.working:
                state = DownloadState.PAUSED
            case _:
                state = DownloadState.QUEUED
        error = self.progress.error if state is DownloadState.FAILED else None
        return DownloadRecord(self.repository.id, self.repository.revision, self.files, self.folder, state, error)

    def new_job(self) -> DownloadJob:
        """A job for the next try; one that has run can't run again."""
        self.job = DownloadJob(self.folder, self.repository, self.files, self._disk, self._job_changed)
        self._speed = SpeedMeter()
        return self.job

    def tell(
        self, state: DownloadState, *, error: str | None = None, retry_at: datetime | None = None, done_bytes: int | None = None
    ) -> None:
        moving = state is DownloadState.RUNNING
        before = self.progress.state
        done_bytes = self.job.done_bytes if done_bytes is None else done_bytes
        self.progress = replace(
            self.progress,
            state=state,
            done_bytes=done_bytes,
            total_bytes=self.job.total_bytes,
            bytes_per_s=self._speed.bytes_per_s if moving else 0.0,
            eta_s=self._speed.eta_s(self.job.total_bytes - done_bytes) if moving else None,
            error=error,
            retry_at=retry_at,
        )
        self._told_at = time.monotonic()
        self._on_change(self, before)

    def _job_changed(self) -> None:
        """Tell at most five times a second, but at once when the state changes."""
        now = time.monotonic()
        state = DownloadState.VERIFYING if self.job.verifying else DownloadState.RUNNING
        if state is DownloadState.RUNNING:
            if self.state is DownloadState.VERIFYING:
                # What was read from the disk did not come over the network.
                self._speed = SpeedMeter()
            self._speed.add(now, self.job.done_bytes)
        if state is not self.state or now - self._told_at >= _NOTIFY_S:
            self.tell(state)
