"""Downloads as a list: whose turn it is, stopping and going on, and what outlives the program."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import NotEnoughSpace, RepositoryNotFound
from app.domain.models import DownloadState, RemoteRepository
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.settings import SettingsStore
from tests.fake_hub import FakeHub
from tests.library.downloading import (
    AT_ONCE,
    a_store,
    arrived,
    exists,
    files_below,
    listing,
    new_manager,
    paused,
    state_of,
    the,
)

pytestmark = pytest.mark.anyio

FILES = {f"{name}.gguf": os.urandom(1_500_000 + number) for number, name in enumerate("abcd")}
IDS = tuple(f"org/many/{name}" for name in FILES)


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add("org/many", FILES)
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def settings() -> SettingsStore:
    store = a_store()
    store.update(simultaneous_downloads=1)
    return store


@pytest.fixture
async def manager(fake: FakeHub, folder: Path, settings: SettingsStore) -> AsyncIterator[DownloadManager]:
    made = new_manager(fake, folder, settings=settings)
    yield made
    fake.resume.set()
    await made.close()


@pytest.fixture
async def repository(fake: FakeHub) -> RemoteRepository:
    return await listing(fake, "org/many")


def start_all(manager: DownloadManager, repository: RemoteRepository) -> None:
    assert tuple(manager.start(repository, file) for file in repository.models) == IDS


def states(manager: DownloadManager) -> list[str]:
    return [progress.state.value for progress in manager.downloads]


def go_on(fake: FakeHub) -> None:
    fake.faults.pause_after = None
    fake.resume.set()


async def test_downloads_run_in_the_order_of_the_list(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository
) -> None:
    done: list[str] = []
    manager.changed.subscribe(lambda progress: done.append(progress.id) if progress.state is DownloadState.DONE else None)
    orders: list[list[str]] = []
    manager.listed.subscribe(lambda downloads: orders.append([progress.id for progress in downloads]))
    fake.faults.pause_after = 1
    start_all(manager, repository)
    await paused(fake)

    manager.move(IDS[3], 1)
    manager.move(IDS[1], 99)
    go_on(fake)
    for download_id in IDS:
        await manager.wait(download_id)

    wanted = [IDS[0], IDS[3], IDS[2], IDS[1]]
    assert done == wanted
    assert orders[-1] == wanted


async def test_more_may_run_as_soon_as_the_setting_says_so(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository, settings: SettingsStore
) -> None:
    fake.faults.pause_after = 1
    start_all(manager, repository)
    await paused(fake)
    before = states(manager)

    settings.update(simultaneous_downloads=3)
    await state_of(manager, IDS[2], DownloadState.RUNNING)

    assert before == ["running", "queued", "queued", "queued"]
    assert states(manager)[3] == "queued"


async def test_a_paused_download_lets_the_next_one_run_and_goes_on_where_it_was(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository, folder: Path
) -> None:
    fake.faults.pause_after = 1_200_000
    start_all(manager, repository)
    await arrived(manager, IDS[0], 1_000_000)

    manager.pause(IDS[0])
    stopped = await manager.wait(IDS[0])
    go_on(fake)
    await manager.wait(IDS[3])
    manager.resume(IDS[0])
    last = await manager.wait(IDS[0])

    assert (stopped.state, stopped.error) == (DownloadState.PAUSED, None)
    assert stopped.done_bytes >= 1_000_000
    assert last.state is DownloadState.DONE
    assert fake.transfers[-1].headers["range"] == f"bytes={stopped.done_bytes}-"
    assert (folder / "org" / "many" / "a.gguf").read_bytes() == FILES["a.gguf"]


async def test_everything_can_be_paused_and_resumed_at_once(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository
) -> None:
    fake.faults.pause_after = 1
    start_all(manager, repository)
    await paused(fake)

    manager.pause_all()
    for download_id in IDS:
        await manager.wait(download_id)
    between = states(manager)
    go_on(fake)
    manager.resume_all()
    for download_id in IDS:
        await manager.wait(download_id)

    assert between == ["paused"] * 4
    assert states(manager) == ["done"] * 4


async def test_pausing_and_resuming_in_one_breath_goes_on(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository
) -> None:
    fake.faults.pause_after = 1
    start_all(manager, repository)
    await paused(fake)

    manager.pause(IDS[0])
    manager.resume(IDS[0])
    go_on(fake)

    assert (await manager.wait(IDS[0])).state is DownloadState.DONE


async def test_a_paused_or_queued_download_can_be_cancelled(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository, folder: Path
) -> None:
    fake.faults.pause_after = 1_200_000
    start_all(manager, repository)
    await arrived(manager, IDS[0], 1_000_000)
    manager.pause(IDS[0])
    await manager.wait(IDS[0])
    left = files_below(folder)
    manager.cancel(IDS[3])

    manager.cancel(IDS[0])

    assert (await manager.wait(IDS[0])).state is DownloadState.CANCELLED
    assert (await manager.wait(IDS[3])).state is DownloadState.CANCELLED
    assert "org/many/a.gguf.part" in left
    assert not any("a.gguf" in name or "d.gguf" in name for name in files_below(folder))


async def test_a_failed_download_that_is_cancelled_has_failed_no_longer(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository, folder: Path
) -> None:
    fake.faults.drop_after = [100_000, 0, 0, 0]
    manager.start(repository, repository.models[0])
    await state_of(manager, IDS[0], DownloadState.FAILED)

    manager.cancel(IDS[0])

    assert (await manager.wait(IDS[0])).state is DownloadState.CANCELLED
    assert files_below(folder) == []


async def test_starting_what_was_just_cancelled_begins_anew(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository, folder: Path
) -> None:
    fake.faults.pause_after = 1_200_000
    manager.start(repository, repository.models[0])
    await arrived(manager, IDS[0], 1_000_000)

    manager.cancel(IDS[0])
    manager.start(repository, repository.models[0])
    go_on(fake)
    last = await manager.wait(IDS[0])

    assert last.state is DownloadState.DONE
    assert [request.headers.get("range") for request in fake.transfers] == [None, None]
    assert (folder / "org" / "many" / "a.gguf").read_bytes() == FILES["a.gguf"]

    # Also while what it left is being deleted.
    fake.faults.pause_after = 1_200_000
    fake.resume.clear()
    manager.start(repository, repository.models[1])
    await arrived(manager, IDS[1], 1_000_000)
    manager.pause(IDS[1])
    await manager.wait(IDS[1])
    manager.cancel(IDS[1])
    manager.start(repository, repository.models[1])
    manager.cancel(IDS[1])
    manager.start(repository, repository.models[1])
    go_on(fake)

    assert (await manager.wait(IDS[1])).state is DownloadState.DONE


async def test_a_dropped_connection_shows_the_reason_and_when_it_goes_on(
    fake: FakeHub, folder: Path, repository: RemoteRepository
) -> None:
    patient = new_manager(fake, folder, policy=replace(AT_ONCE, first_pause_s=1000.0, max_pause_s=1000.0))
    fake.faults.statuses = [503]
    download_id = patient.start(repository, repository.models[0])

    waiting = await state_of(patient, download_id, DownloadState.WAITING)
    patient.retry(download_id)
    last = await patient.wait(download_id)
    await patient.close()

    assert "error 503" in (waiting.error or "")
    assert waiting.retry_at is not None
    assert (last.state, last.error, last.retry_at) == (DownloadState.DONE, None, None)


async def test_who_waits_long_lets_the_next_one_run(
    fake: FakeHub, folder: Path, repository: RemoteRepository, settings: SettingsStore
) -> None:
    patient = new_manager(fake, folder, settings=settings, policy=replace(AT_ONCE, first_pause_s=1000.0, max_pause_s=1000.0))
    fake.faults.statuses = [503]
    first, second = (patient.start(repository, file) for file in repository.models[:2])

    assert (await patient.wait(second)).state is DownloadState.DONE
    assert states(patient) == ["waiting", "done"]
    patient.resume(first)
    assert (await patient.wait(first)).state is DownloadState.DONE
    await patient.close()


async def test_who_waits_for_a_shared_file_lets_whoever_has_it_go_on(
    fake: FakeHub, folder: Path, settings: SettingsStore
) -> None:
    projector = {"mmproj-F16.gguf": os.urandom(1_300_000)}
    fake.add("org/many", FILES | projector)
    repository = await listing(fake, "org/many")
    shared = the(repository, "mmproj-F16.gguf")
    patient = new_manager(fake, folder, settings=settings, policy=replace(AT_ONCE, first_pause_s=1000.0, max_pause_s=1000.0))
    fake.faults.statuses, fake.faults.statuses_from = [503], 1
    first = patient.start(repository, the(repository, "a.gguf"), shared)
    second = patient.start(repository, the(repository, "b.gguf"), shared)
    await state_of(patient, first, DownloadState.WAITING)
    await arrived(patient, second, len(FILES["b.gguf"]))

    patient.resume(first)
    last = [await asyncio.wait_for(patient.wait(download_id), 20) for download_id in (first, second)]
    await patient.close()

    assert [progress.state for progress in last] == [DownloadState.DONE, DownloadState.DONE]
    assert files_below(folder) == ["org/many/a.gguf", "org/many/b.gguf", "org/many/mmproj-F16.gguf"]


async def test_a_failed_download_can_be_tried_again_or_forgotten(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository, folder: Path
) -> None:
    fake.faults.drop_after = [100_000, 0, 0, 0]
    first = manager.start(repository, repository.models[0])
    assert (await state_of(manager, first, DownloadState.FAILED)).error
    fake.faults.drop_after = []
    manager.retry(first)
    assert (await manager.wait(first)).state is DownloadState.DONE

    fake.faults.drop_after = [100_000, 0, 0, 0]
    second = manager.start(repository, repository.models[1])
    await state_of(manager, second, DownloadState.FAILED)
    empty = asyncio.Event()
    manager.listed.subscribe(lambda downloads: None if downloads else empty.set())
    manager.forget(first)
    manager.forget(second)
    await asyncio.wait_for(empty.wait(), 20)

    assert files_below(folder) == ["org/many/a.gguf"]


async def test_offline_nothing_runs_and_online_it_goes_on(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository, settings: SettingsStore
) -> None:
    fake.faults.pause_after = 1_200_000
    start_all(manager, repository)
    await arrived(manager, IDS[0], 1_000_000)

    settings.update(hub_offline=True)
    while "offline" not in ((waiting := await state_of(manager, IDS[0], DownloadState.WAITING)).error or ""):  # noqa: ASYNC110 -- the state has no event
        await asyncio.sleep(0)
    go_on(fake)
    settings.update(hub_offline=False)
    await manager.wait(IDS[0])

    assert waiting.retry_at is None


async def test_what_runs_goes_on_through_the_proxy_that_is_set_meanwhile(
    fake: FakeHub, folder: Path, repository: RemoteRepository, settings: SettingsStore
) -> None:
    settings.update(hub_endpoint="http://hub.invalid", hub_proxy=fake.endpoint)
    hub = Hub(HubAccess(lambda: settings.current))
    manager = DownloadManager(hub, settings, lambda: folder, policy=AT_ONCE)
    fake.faults.pause_after = 1_200_000
    download_id = manager.start(repository, repository.models[0])
    await arrived(manager, download_id, 1_000_000)

    settings.update(hub_endpoint=fake.endpoint, hub_proxy="")
    go_on(fake)
    await manager.wait(download_id)
    await manager.close()
    await hub.close()

    hosts = [request.headers["host"] for request in fake.requests if "/resolve/" in request.path]
    assert hosts == ["hub.invalid", f"127.0.0.1:{fake.port}"]
    assert (folder / "org" / "many" / "a.gguf").read_bytes() == FILES["a.gguf"]


async def test_a_full_disk_pauses_and_room_goes_on(fake: FakeHub, folder: Path, repository: RemoteRepository) -> None:
    free = 1000
    cramped = new_manager(fake, folder, free=lambda _: free)
    download_id = cramped.start(repository, repository.models[0])

    stopped = await state_of(cramped, download_id, DownloadState.PAUSED)
    with pytest.raises(NotEnoughSpace):
        await cramped.wait(download_id)
    free = 10**12
    await state_of(cramped, download_id, DownloadState.DONE)
    await cramped.close()

    assert "are needed in" in (stopped.error or "")
    assert (await cramped.wait(download_id)).error is None


async def test_the_next_program_goes_on_in_the_same_order_and_leaves_paused_ones_alone(
    fake: FakeHub, folder: Path, repository: RemoteRepository, settings: SettingsStore
) -> None:
    fake.faults.pause_after = 1_200_000
    first = new_manager(fake, folder, settings=settings)
    start_all(first, repository)
    await arrived(first, IDS[0], 1_000_000)
    first.move(IDS[3], 1)
    first.pause(IDS[2])
    first.cancel(IDS[1])
    await first.wait(IDS[2])
    await first.wait(IDS[1])
    await first.close()
    go_on(fake)

    second = new_manager(fake, folder, settings=settings)
    await second.restore()
    restored = second.downloads
    await second.wait(IDS[0])
    await second.wait(IDS[3])

    assert [progress.id for progress in restored] == [IDS[0], IDS[3], IDS[2]]
    assert restored[0].done_bytes >= 1_000_000
    assert states(second) == ["done", "done", "paused"]
    assert (folder / "org" / "many" / "a.gguf").read_bytes() == FILES["a.gguf"]
    await second.close()

    third = new_manager(fake, folder, settings=settings)
    await third.restore()
    assert [progress.id for progress in third.downloads] == [IDS[2]]
    await third.close()


async def test_what_a_running_program_downloads_is_not_taken_from_it(
    fake: FakeHub, manager: DownloadManager, folder: Path, repository: RemoteRepository
) -> None:
    fake.faults.pause_after = 1_200_000
    start_all(manager, repository)
    await arrived(manager, IDS[0], 1_000_000)

    other = new_manager(fake, folder)
    await other.restore()

    assert other.downloads == ()
    await other.close()
    assert exists(folder / "org" / "many" / "a.gguf.part")


async def test_trying_again_takes_the_version_that_the_hub_has_by_now(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository, folder: Path
) -> None:
    fake.faults.lie_about_sha256 = True
    outdated = await listing(fake, "org/many")
    fake.faults.lie_about_sha256 = False
    download_id = manager.start(outdated, outdated.models[0])
    failed = await state_of(manager, download_id, DownloadState.FAILED)
    new = {**FILES, "a.gguf": os.urandom(1_400_000)}
    fake.add("org/many", new)

    manager.retry(download_id)
    last = await manager.wait(download_id)

    assert "damaged" in (failed.error or "")
    assert (last.state, last.total_bytes) == (DownloadState.DONE, 1_400_000)
    assert (folder / "org" / "many" / "a.gguf").read_bytes() == new["a.gguf"]


async def test_trying_again_says_so_if_the_file_is_gone(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository
) -> None:
    fake.faults.corrupt = True
    download_id = manager.start(repository, repository.models[0])
    await state_of(manager, download_id, DownloadState.FAILED)
    fake.add("org/many", {"other.gguf": FILES["b.gguf"]})

    manager.retry(download_id)

    with pytest.raises(RepositoryNotFound, match=r"a\.gguf is no longer in org/many"):
        await manager.wait(download_id)


async def test_what_was_moved_to_another_folder_goes_on_there(
    fake: FakeHub, manager: DownloadManager, repository: RemoteRepository, folder: Path, settings: SettingsStore
) -> None:
    fake.faults.pause_after = 1_200_000
    start_all(manager, repository)
    await arrived(manager, IDS[0], 1_000_000)
    manager.pause_all()
    stopped = await manager.wait(IDS[0])
    await manager.close()
    go_on(fake)
    new = folder.parent / "elsewhere" / "models"
    os.renames(folder, new)

    other = new_manager(fake, new, settings=settings)
    # What programs note lies beside the folder, for these tests.
    (folder.parent / "downloads").rename(new.parent / "downloads")
    await other.restore()
    other.resume_all()
    for download_id in IDS:
        await other.wait(download_id)
    await other.close()

    assert fake.transfers[1].headers["range"] == f"bytes={stopped.done_bytes}-"
    assert files_below(new) == [f"org/many/{name}" for name in FILES]
    assert not exists(folder)
