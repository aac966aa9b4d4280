"""The files of one download, together, and what jobs share."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from app.domain.errors import DownloadError, HubUnreachable, NotEnoughSpace
from app.domain.models import DownloadState, RemoteFile, RemoteRepository
from app.library.disk_share import DiskShare, free_bytes
from app.library.download_job import DownloadJob
from app.library.downloads import DownloadManager
from app.library.fetch import Fetcher
from app.library.hub import Hub
from app.library.part_file import PartFile
from app.library.provenance import forget_provenance, provenance_of
from app.library.retry_policy import RetryPolicy
from app.paths import Paths
from app.settings import SettingsStore
from tests.fake_hub import FakeHub

pytestmark = pytest.mark.anyio

FILES = {f"{name}.gguf": os.urandom(200_000) for name in ("a", "b", "shared")}


async def at_once(reason: str, pause_s: float) -> None:
    """A pause that is none."""


async def patiently(wait: Awaitable[None]) -> None:
    """Waits for a file that another download has, and lets nobody else go first."""
    await wait


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add("org/repo", FILES)
        yield hub


@pytest.fixture
async def fetcher(fake: FakeHub) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(
        Hub(endpoint=fake.endpoint), RetryPolicy(tries=1, first_pause_s=0.0), SettingsStore(Paths.of().settings_file)
    )
    yield fetcher
    await fetcher.close()


@pytest.fixture
def disk() -> DiskShare:
    return DiskShare(lambda _: 10**12)


def remote_file(name: str) -> RemoteFile:
    return RemoteFile((name,), len(FILES[name]), "", (hashlib.sha256(FILES[name]).hexdigest(),))


def job(folder: Path, disk: DiskShare, *names: str, on_change: Callable[[], None] = lambda: None) -> DownloadJob:
    files = [remote_file(name) for name in names]
    return DownloadJob(folder, RemoteRepository("org/repo", "main", tuple(files)), files, disk, on_change)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.*") if path.name != ".hearth.json")


async def test_nothing_is_installed_until_every_file_is_right(
    fake: FakeHub, fetcher: Fetcher, disk: DiskShare, tmp_path: Path
) -> None:
    failing = job(tmp_path, disk, "a.gguf", "shared.gguf")
    fake.faults.drop_after = [10**9, 100, 0]
    with pytest.raises(HubUnreachable):
        await failing.run(fetcher, at_once, patiently)
    assert names_in(tmp_path / "org") == ["a.gguf.part", "a.gguf.part.json", "shared.gguf.part", "shared.gguf.part.json"]

    again = job(tmp_path, disk, "a.gguf", "shared.gguf")
    await again.run(fetcher, at_once, patiently)

    assert names_in(tmp_path / "org") == ["a.gguf", "shared.gguf"]
    assert again.done_bytes == again.total_bytes == 400_000
    assert len(fake.transfers) == 4


async def test_a_file_that_is_there_without_a_note_is_noted(fetcher: Fetcher, disk: DiskShare, tmp_path: Path) -> None:
    await job(tmp_path, disk, "a.gguf").run(fetcher, at_once, patiently)
    installed = tmp_path / "org" / "repo" / "a.gguf"
    noted = provenance_of(installed)
    assert noted is not None
    # As after a kill between the file's renaming and its note.
    forget_provenance(installed)

    await job(tmp_path, disk, "a.gguf").run(fetcher, at_once, patiently)

    assert provenance_of(installed) == noted


async def test_a_cancel_during_the_installation_comes_too_late(
    fake: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_installed, gate = threading.Event(), threading.Event()
    install = PartFile.install

    def slow_install(part: PartFile) -> None:
        install(part)
        first_installed.set()
        gate.wait(5)

    monkeypatch.setattr(PartFile, "install", slow_install)
    settings = SettingsStore(tmp_path / "settings.json")
    manager = DownloadManager(Hub(endpoint=fake.endpoint), settings, lambda: tmp_path, free_bytes=lambda _: 10**12)
    model, projector = (remote_file(name) for name in ("a.gguf", "shared.gguf"))
    download_id = manager.start(RemoteRepository("org/repo", "main", (model, projector)), model, projector)
    await asyncio.to_thread(first_installed.wait, 5)
    manager.cancel(download_id)
    gate.set()

    assert (await manager.wait(download_id)).state is DownloadState.DONE
    assert names_in(tmp_path / "org") == ["a.gguf", "shared.gguf"]
    await manager.close()


async def test_discarding_deletes_what_an_earlier_run_left_too(
    fake: FakeHub, fetcher: Fetcher, disk: DiskShare, tmp_path: Path
) -> None:
    fake.faults.drop_after = [10**9, 100, 0]
    with pytest.raises(HubUnreachable):
        await job(tmp_path, disk, "a.gguf", "b.gguf").run(fetcher, at_once, patiently)

    await job(tmp_path, disk, "a.gguf", "b.gguf").discard()

    assert names_in(tmp_path) == []


async def test_discarding_leaves_alone_what_another_job_works_on(disk: DiskShare, fetcher: Fetcher, tmp_path: Path) -> None:
    first_arrived = asyncio.Event()
    other = job(
        tmp_path, disk, "a.gguf", "shared.gguf", on_change=lambda: first_arrived.set() if other.done_bytes == 200_000 else None
    )
    async with disk.alone_with(tmp_path / "org" / "repo" / "shared.gguf"):
        running = asyncio.ensure_future(other.run(fetcher, at_once, patiently))
        await first_arrived.wait()
        await job(tmp_path, disk, "a.gguf", "shared.gguf").discard()
        assert names_in(tmp_path / "org") == ["a.gguf.part", "a.gguf.part.json"]
    await running

    assert names_in(tmp_path / "org") == ["a.gguf", "shared.gguf"]


async def test_a_disk_that_fills_up_midway_is_told_as_that(fetcher: Fetcher, tmp_path: Path) -> None:
    class FullDisk(DiskShare):
        def is_wanted(self, target: Path) -> bool:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NotEnoughSpace) as caught:
        await job(tmp_path, FullDisk(lambda _: 10**12), "a.gguf").run(fetcher, at_once, patiently)

    assert caught.value.needed_bytes == 200_000 + 200_000_000
    assert caught.value.folder == tmp_path


async def test_a_folder_that_cannot_be_written_is_named(fetcher: Fetcher, disk: DiskShare, ember_path: Path) -> None:
    # A file where the folder should be.
    with pytest.raises(DownloadError, match=r"ember\.gguf can't be written"):
        await job(ember_path, disk, "a.gguf").run(fetcher, at_once, patiently)


async def test_space_is_given_back_when_a_job_ends(fetcher: Fetcher, tmp_path: Path) -> None:
    disk = DiskShare(lambda _: 200_000_000 + 200_000)

    await job(tmp_path, disk, "a.gguf").run(fetcher, at_once, patiently)
    await job(tmp_path, disk, "b.gguf").run(fetcher, at_once, patiently)
    with pytest.raises(NotEnoughSpace):
        await job(tmp_path / "other", disk, "a.gguf", "b.gguf").run(fetcher, at_once, patiently)

    assert names_in(tmp_path / "org") == ["a.gguf", "b.gguf"]


def test_free_space_is_known_for_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") > 0
