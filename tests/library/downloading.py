"""What tests of downloads share: managers like those of one profile's programs, and waiting for what they tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from app.domain.models import DownloadProgress, DownloadState, RemoteFile, RemoteRepository
from app.library.download_records import DownloadRecords
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.retry_policy import RetryPolicy
from app.paths import Paths
from app.settings import SettingsStore
from tests.fake_hub import FakeHub

__all__ = ["AT_ONCE", "a_store", "arrived", "exists", "files_below", "listing", "new_manager", "paused", "state_of", "the"]

AT_ONCE = RetryPolicy(tries=3, first_pause_s=0.0, stall_s=0.5, connect_s=2.0, space_s=0.05, busy_s=0.05)


def new_manager(
    fake: FakeHub,
    folder: Path,
    *,
    token: str | None = None,
    settings: SettingsStore | None = None,
    policy: RetryPolicy = AT_ONCE,
    free: Callable[[Path], int] = lambda _: 10**12,
) -> DownloadManager:
    """With notes beside the models folder, as a program of the same profile has them."""
    return DownloadManager(
        Hub(endpoint=fake.endpoint, token=token),
        settings or a_store(),
        lambda: folder,
        DownloadRecords(folder.parent / "downloads"),
        policy=policy,
        free_bytes=free,
    )


def a_store() -> SettingsStore:
    return SettingsStore(Paths.of().settings_file)


async def listing(fake: FakeHub, name: str = "org/repo") -> RemoteRepository:
    return await Hub(endpoint=fake.endpoint).repository(name)


def the(repository: RemoteRepository, label: str) -> RemoteFile:
    return next(file for file in repository.files if file.label == label)


def files_below(folder: Path) -> list[str]:
    """But for the notes about where they came from."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".hearth.json")
    return sorted(path.relative_to(folder).as_posix() for path in files)


def exists(path: Path) -> bool:
    return path.exists()


async def paused(fake: FakeHub) -> None:
    """Until the hub has sent as much as `pause_after` says."""
    assert await asyncio.to_thread(fake.paused.wait, 20)


async def state_of(manager: DownloadManager, download_id: str, state: DownloadState) -> DownloadProgress:
    """The download, once it is in this state."""
    reached: asyncio.Future[DownloadProgress] = asyncio.get_running_loop().create_future()

    def look(progress: DownloadProgress) -> None:
        if progress.id == download_id and progress.state is state and not reached.done():
            reached.set_result(progress)

    unsubscribe = manager.changed.subscribe(look)
    for progress in manager.downloads:
        look(progress)
    try:
        return await asyncio.wait_for(reached, 20)
    finally:
        unsubscribe()


async def arrived(manager: DownloadManager, download_id: str, n_bytes: int) -> None:
    """Until so many bytes are written."""
    enough = asyncio.Event()

    def look(progress: DownloadProgress) -> None:
        if progress.id == download_id and progress.done_bytes >= n_bytes:
            enough.set()

    unsubscribe = manager.changed.subscribe(look)
    for progress in manager.downloads:
        look(progress)
    await asyncio.wait_for(enough.wait(), 20)
    unsubscribe()
