"""Downloads from the hub on loopback: whole, resumed, refused, broken."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from app.domain.errors import (
    AccessDenied,
    ChecksumMismatch,
    HubUnreachable,
    InvalidRequest,
    NotAModel,
    NotEnoughSpace,
    RepositoryNotFound,
)
from app.domain.models import Capability, DownloadProgress, DownloadState, RemoteFile, RemoteRepository
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.library import ModelLibrary
from app.library.local_names import local_path
from app.library.moving_mark import MovingMark
from app.library.provenance import Provenance, provenance_of
from app.library.web_file import web_file
from app.paths import Paths
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

MODEL = os.urandom(3_000_000)
OTHER = os.urandom(2_000_000)
PROJECTOR = os.urandom(400_000)


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add("org/repo", {"m-Q4_K_M.gguf": MODEL, "m-Q8_0.gguf": OTHER, "mmproj-F16.gguf": PROJECTOR})
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
async def manager(fake: FakeHub, folder: Path) -> AsyncIterator[DownloadManager]:
    manager = new_manager(fake, folder)
    yield manager
    await manager.close()


async def test_a_model_and_its_projector_arrive_whole(fake: FakeHub, manager: DownloadManager, folder: Path) -> None:
    repository = await listing(fake)
    heard: list[DownloadProgress] = []
    manager.changed.subscribe(heard.append)

    download_id = manager.start(repository, the(repository, "m-Q4_K_M.gguf"), the(repository, "mmproj-F16.gguf"))
    last = await manager.wait(download_id)

    assert last.state is DownloadState.DONE
    assert last.done_bytes == last.total_bytes == len(MODEL) + len(PROJECTOR)
    assert (folder / "org" / "repo" / "m-Q4_K_M.gguf").read_bytes() == MODEL
    assert (folder / "org" / "repo" / "mmproj-F16.gguf").read_bytes() == PROJECTOR
    assert files_below(folder) == ["org/repo/m-Q4_K_M.gguf", "org/repo/mmproj-F16.gguf"]
    source = provenance_of(folder / "org" / "repo" / "m-Q4_K_M.gguf")
    assert source == Provenance("org/repo", repository.revision, "m-Q4_K_M.gguf", len(MODEL), sha256(MODEL).hexdigest())
    assert heard[0].state is DownloadState.QUEUED
    assert heard[-1] == last
    assert [progress.done_bytes for progress in heard] == sorted(progress.done_bytes for progress in heard)
    assert manager.downloads == (last,)


async def test_the_note_beside_a_file_from_the_web_has_no_key_to_it(
    fake: FakeHub, manager: DownloadManager, folder: Path
) -> None:
    url = f"{fake.endpoint}/org/repo/resolve/main/w-Q4_K_M.gguf"
    fake.add("org/repo", {"w-Q4_K_M.gguf": b"GGUF" + MODEL})
    repository, file = await web_file(Hub(endpoint=fake.endpoint).access, f"{url}?token=secret")

    await manager.wait(manager.start(repository, file))

    source = provenance_of(folder / local_path(Path(), repository.id, file.label))
    assert source is not None
    assert source.name == url


async def test_shards_arrive_as_one_download(fake: FakeHub, manager: DownloadManager, folder: Path) -> None:
    parts = {f"Q8_0/big-0000{number}-of-00003.gguf": os.urandom(50_000 * number) for number in (1, 2, 3)}
    fake.add("org/split", parts)
    repository = await listing(fake, "org/split")

    last = await manager.wait(manager.start(repository, repository.models[0]))

    assert last.total_bytes == 300_000
    for name, data in parts.items():
        assert (folder / "org" / "split" / name).read_bytes() == data


async def test_a_new_manager_asks_only_for_the_rest(fake: FakeHub, folder: Path) -> None:
    repository = await listing(fake)
    file = the(repository, "m-Q4_K_M.gguf")
    fake.faults.pause_after = 1_500_000
    first = new_manager(fake, folder)
    download_id = first.start(repository, file)
    await arrived(first, download_id, 1_000_000)
    await first.close()
    assert "org/repo/m-Q4_K_M.gguf.part" in files_below(folder)
    left = (folder / "org" / "repo" / "m-Q4_K_M.gguf.part").stat().st_size
    assert left >= 1_000_000

    fake.faults.pause_after = None
    fake.resume.set()
    second = new_manager(fake, folder)
    assert (await second.wait(second.start(repository, file))).state is DownloadState.DONE
    await second.close()

    assert fake.transfers[-1].headers["range"] == f"bytes={left}-"
    assert (folder / "org" / "repo" / "m-Q4_K_M.gguf").read_bytes() == MODEL


async def test_a_file_that_changed_on_the_hub_is_fetched_from_the_first_byte(
    fake: FakeHub, manager: DownloadManager, folder: Path
) -> None:
    repository = await listing(fake)
    fake.faults.drop_after = [1_000_000, 0, 0, 0]
    with pytest.raises(HubUnreachable):
        await manager.wait(manager.start(repository, the(repository, "m-Q4_K_M.gguf")))
    fake.faults.drop_after = []
    changed = os.urandom(2_900_000)
    fake.add("org/repo", {"m-Q4_K_M.gguf": changed})

    repository = await listing(fake)
    await manager.wait(manager.start(repository, the(repository, "m-Q4_K_M.gguf")))

    assert "range" not in fake.transfers[-1].headers
    assert (folder / "org" / "repo" / "m-Q4_K_M.gguf").read_bytes() == changed


async def test_a_file_that_changes_midway_does_not_become_a_mixture(
    fake: FakeHub, manager: DownloadManager, folder: Path
) -> None:
    repository = await listing(fake)
    fake.faults.drop_after = [1_000_000]
    fake.faults.changes_after = 1

    with pytest.raises(ChecksumMismatch):
        await manager.wait(manager.start(repository, the(repository, "m-Q4_K_M.gguf")))

    # If-Range made the server send the new file from its first byte, which is not the one that was promised.
    assert [request.headers.get("range") for request in fake.transfers] == [None, "bytes=1000000-", None]
    assert files_below(folder) == []


async def test_damaged_bytes_are_not_installed(fake: FakeHub, manager: DownloadManager, folder: Path) -> None:
    repository = await listing(fake)
    fake.faults.corrupt = True

    download_id = manager.start(repository, the(repository, "m-Q4_K_M.gguf"), the(repository, "mmproj-F16.gguf"))
    with pytest.raises(ChecksumMismatch, match="m-Q4_K_M"):
        await manager.wait(download_id)

    assert manager.downloads[0].state is DownloadState.FAILED
    assert "damaged" in (manager.downloads[0].error or "")
    assert files_below(folder) == []


async def test_a_part_damaged_on_the_disk_is_fetched_anew(fake: FakeHub, manager: DownloadManager, folder: Path) -> None:
    repository = await listing(fake)
    fake.faults.drop_after = [1_000_000, 0, 0, 0]
    with pytest.raises(HubUnreachable):
        await manager.wait(manager.start(repository, the(repository, "m-Q4_K_M.gguf")))
    fake.faults.drop_after = []
    part = folder / "org" / "repo" / "m-Q4_K_M.gguf.part"
    part.write_bytes(bytes(part.stat().st_size))

    assert (await manager.wait(manager.start(repository, the(repository, "m-Q4_K_M.gguf")))).state is DownloadState.DONE

    assert (folder / "org" / "repo" / "m-Q4_K_M.gguf").read_bytes() == MODEL


async def test_a_projector_that_fails_keeps_the_model_from_being_installed(
    fake: FakeHub, manager: DownloadManager, folder: Path
) -> None:
    repository = await listing(fake)
    fake.add("org/repo", {"m-Q4_K_M.gguf": MODEL})

    with pytest.raises(RepositoryNotFound):
        await manager.wait(manager.start(repository, the(repository, "m-Q4_K_M.gguf"), the(repository, "mmproj-F16.gguf")))

    assert not (folder / "org" / "repo" / "m-Q4_K_M.gguf").exists()
    assert (folder / "org" / "repo" / "m-Q4_K_M.gguf.part").exists()


async def test_a_full_disk_is_seen_before_a_byte_is_fetched(fake: FakeHub, folder: Path) -> None:
    repository = await listing(fake)
    manager = new_manager(fake, folder, free=lambda _: 1_000_000)

    with pytest.raises(NotEnoughSpace) as caught:
        await manager.wait(manager.start(repository, the(repository, "m-Q4_K_M.gguf")))
    await manager.close()

    assert caught.value.free_bytes == 1_000_000
    assert caught.value.needed_bytes > len(MODEL)
    assert fake.transfers == []
    assert not exists(folder)


async def test_space_that_another_download_will_need_is_not_given_away(fake: FakeHub, folder: Path) -> None:
    repository = await listing(fake)
    free = 200_000_000 + len(MODEL) + 1_000_000
    manager = new_manager(fake, folder, free=lambda _: free)
    fake.faults.pause_after = 1

    first = manager.start(repository, the(repository, "m-Q4_K_M.gguf"))
    await paused(fake)
    with pytest.raises(NotEnoughSpace):
        await manager.wait(manager.start(repository, the(repository, "m-Q8_0.gguf")))
    manager.cancel(first)
    await manager.wait(first)
    await manager.close()


async def test_cancelling_deletes_what_has_arrived(fake: FakeHub, manager: DownloadManager, folder: Path) -> None:
    repository = await listing(fake)
    fake.faults.pause_after = 1_500_000

    download_id = manager.start(repository, the(repository, "m-Q4_K_M.gguf"), the(repository, "mmproj-F16.gguf"))
    await arrived(manager, download_id, 1_000_000)
    manager.cancel(download_id)
    last = await manager.wait(download_id)

    assert last.state is DownloadState.CANCELLED
    assert not exists(folder / "org")


async def test_cancelling_a_finished_or_unknown_download_does_nothing(
    fake: FakeHub, manager: DownloadManager, folder: Path
) -> None:
    repository = await listing(fake)
    download_id = manager.start(repository, the(repository, "mmproj-F16.gguf"))
    last = await manager.wait(download_id)

    manager.cancel(download_id)
    manager.cancel("none")

    assert await manager.wait(download_id) == last
    assert files_below(folder) == ["org/repo/mmproj-F16.gguf"]
    with pytest.raises(InvalidRequest):
        await manager.wait("none")


async def test_while_the_models_folder_moves_a_download_waits_and_then_follows(fake: FakeHub, tmp_path: Path) -> None:
    repository, file = await listing(fake), "m-Q4_K_M.gguf"
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    folder, mark = old, MovingMark(old)
    manager = DownloadManager(Hub(endpoint=fake.endpoint), a_store(), lambda: folder, policy=AT_ONCE)
    mark.set(new)

    download_id = manager.start(repository, the(repository, file))
    waiting = await state_of(manager, download_id, DownloadState.WAITING)
    assert "being moved" in waiting.error
    assert files_below(old) == [".moving"]
    folder = new
    mark.remove()
    await manager.wait(download_id)
    await manager.close()

    assert files_below(new) == [f"org/repo/{file}"]
    assert files_below(old) == []


async def test_what_was_moved_with_the_folder_is_discarded_where_it_is(fake: FakeHub, tmp_path: Path) -> None:
    repository = await listing(fake)
    folder = tmp_path / "old"
    manager = DownloadManager(Hub(endpoint=fake.endpoint), a_store(), lambda: folder, policy=AT_ONCE)
    fake.faults.pause_after = 1_500_000
    download_id = manager.start(repository, the(repository, "m-Q4_K_M.gguf"))
    await arrived(manager, download_id, 1_000_000)
    manager.pause(download_id)
    await state_of(manager, download_id, DownloadState.PAUSED)
    folder = folder.rename(tmp_path / "new")

    manager.cancel(download_id)
    await manager.wait(download_id)
    await manager.close()

    assert files_below(tmp_path / "new") == []


async def test_two_run_and_the_third_waits_its_turn(fake: FakeHub, manager: DownloadManager) -> None:
    fake.add("org/many", {f"m{number}.gguf": os.urandom(100_000) for number in range(3)})
    repository = await listing(fake, "org/many")
    fake.faults.pause_after = 1

    ids = [manager.start(repository, file) for file in repository.models]
    await paused(fake)
    waiting = manager.downloads[2]
    fake.faults.pause_after = None
    fake.resume.set()
    states = [(await manager.wait(download_id)).state for download_id in ids]

    assert waiting.state is DownloadState.QUEUED
    assert states == [DownloadState.DONE] * 3


async def test_starting_a_download_twice_is_one_download(fake: FakeHub, manager: DownloadManager) -> None:
    repository = await listing(fake)
    file = the(repository, "m-Q4_K_M.gguf")

    first, second = manager.start(repository, file), manager.start(repository, file)
    await manager.wait(first)

    assert first == second
    assert len(manager.downloads) == 1
    assert len(fake.transfers) == 1


async def test_what_is_installed_already_is_checked_and_not_fetched_again(fake: FakeHub, manager: DownloadManager) -> None:
    repository = await listing(fake)
    file = the(repository, "m-Q4_K_M.gguf")
    await manager.wait(manager.start(repository, file))

    last = await manager.wait(manager.start(repository, file))

    assert last.state is DownloadState.DONE
    assert last.done_bytes == len(MODEL)
    assert len(fake.transfers) == 1


async def test_a_second_program_waits_for_the_first_and_fetches_nothing(
    fake: FakeHub, manager: DownloadManager, folder: Path
) -> None:
    repository = await listing(fake)
    file = the(repository, "m-Q4_K_M.gguf")
    fake.faults.pause_after = 1_000_000
    first = manager.start(repository, file)
    await arrived(manager, first, 1)

    other = new_manager(fake, folder, policy=replace(AT_ONCE, busy_s=0.05))
    second = other.start(repository, file)
    waiting = await state_of(other, second, DownloadState.WAITING)
    fake.faults.pause_after = None
    fake.resume.set()

    assert (await manager.wait(first)).state is DownloadState.DONE
    assert (await other.wait(second)).state is DownloadState.DONE
    await other.close()
    assert "another Hearth" in (waiting.error or "")


@pytest.fixture
def tiny(fake: FakeHub, ember_path: Path, ember_projector_path: Path) -> dict[str, bytes]:
    """A repository with a real model and its real projector."""
    files = {"tiny-F16.gguf": ember_path.read_bytes(), "mmproj-F16.gguf": ember_projector_path.read_bytes()}
    fake.add("org/tiny-GGUF", files)
    return files


async def test_a_downloaded_model_is_in_the_library_with_its_projector(fake: FakeHub, tiny: dict[str, bytes]) -> None:
    repository = await listing(fake, "org/tiny-GGUF")
    paths = Paths.of()
    library = ModelLibrary(paths, SettingsStore(paths.settings_file))
    manager = new_manager(fake, paths.models)

    await manager.wait(manager.start(repository, repository.models[0], Hub.best_projector(repository, repository.models[0])))
    await manager.close()
    await library.refresh()

    model = library.resolve("org/tiny")
    assert model.id == "tiny-F16"
    assert model.can(Capability.VISION)
    removal = await library.remove(model.id)
    assert removal.freed_bytes == sum(len(data) for data in tiny.values())
    assert not exists(paths.models / "org")


async def test_two_quantizations_share_one_projector(fake: FakeHub, manager: DownloadManager, folder: Path) -> None:
    repository = await listing(fake)
    projector = the(repository, "mmproj-F16.gguf")

    ids = [manager.start(repository, the(repository, label), projector) for label in ("m-Q4_K_M.gguf", "m-Q8_0.gguf")]
    for download_id in ids:
        assert (await manager.wait(download_id)).state is DownloadState.DONE

    assert files_below(folder) == ["org/repo/m-Q4_K_M.gguf", "org/repo/m-Q8_0.gguf", "org/repo/mmproj-F16.gguf"]
    assert len(fake.transfers) == 3


async def test_a_gated_file_needs_the_token_and_says_where_to_get_it(fake: FakeHub, folder: Path) -> None:
    fake.add("org/gated", {"m.gguf": MODEL}, gated=True)
    repository = await listing(fake, "org/gated")
    without, with_token = new_manager(fake, folder), new_manager(fake, folder, token="hf_secret")

    with pytest.raises(AccessDenied, match=r"/org/gated"):
        await without.wait(without.start(repository, repository.models[0]))
    assert not exists(folder / "org")
    last = await with_token.wait(with_token.start(repository, repository.models[0]))
    await without.close()
    await with_token.close()

    assert last.state is DownloadState.DONE


async def test_without_a_network_it_says_so(folder: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        hub = Hub(endpoint=f"http://127.0.0.1:{unused.getsockname()[1]}")
        manager = DownloadManager(hub, a_store(), lambda: folder, policy=AT_ONCE)
        file = RemoteFile(("m.gguf",), 1000, "Q8_0", (None,))

        with pytest.raises(HubUnreachable, match="connection was lost"):
            await manager.wait(manager.start(RemoteRepository("org/repo", "main", (file,)), file))
        await manager.close()


async def test_files_of_one_name_from_two_addresses_are_two_files(fake: FakeHub, folder: Path) -> None:
    files = {owner: b"GGUF" + os.urandom(5000) for owner in ("alice", "bob")}
    for owner, data in files.items():
        fake.add(f"{owner}/repo", {"m-Q4_K_M.gguf": data})
    manager = new_manager(fake, folder)
    for owner in files:
        found = await web_file(Hub(endpoint=fake.endpoint).access, f"{fake.endpoint}/{owner}/repo/resolve/main/m-Q4_K_M.gguf")
        await manager.wait(manager.start(*found))
    await manager.close()

    assert sorted((folder / name).read_bytes() for name in files_below(folder)) == sorted(files.values())


async def test_a_file_without_a_hash_is_there_only_if_it_is_that_version(fake: FakeHub, folder: Path) -> None:
    manager = new_manager(fake, folder)
    new = b"GGUF" + os.urandom(5000)
    for data in (b"GGUF" + bytes(5000), new):
        fake.add("org/elsewhere", {"m.gguf": data})
        found = await web_file(Hub(endpoint=fake.endpoint).access, f"{fake.endpoint}/org/elsewhere/resolve/main/m.gguf")
        await manager.wait(manager.start(*found))
    n_transfers = len(fake.transfers)
    await manager.wait(manager.start(*found))
    await manager.close()

    assert [(folder / name).read_bytes() for name in files_below(folder)] == [new]
    assert len(fake.transfers) == n_transfers


async def test_a_file_elsewhere_that_is_no_model_by_now_is_told_as_that(fake: FakeHub, folder: Path) -> None:
    fake.add("org/elsewhere", {"m.gguf": b"GGUF" + bytes(5000)})
    found = await web_file(Hub(endpoint=fake.endpoint).access, f"{fake.endpoint}/org/elsewhere/resolve/main/m.gguf")
    manager = new_manager(fake, folder)
    fake.add("org/elsewhere", {"m.gguf": b"<html>" + bytes(6000)})
    download_id = manager.start(*found)
    await state_of(manager, download_id, DownloadState.FAILED)

    manager.retry(download_id)
    with pytest.raises(NotAModel):
        await manager.wait(download_id)
    (failed,) = manager.downloads
    await manager.close()

    assert failed.state is DownloadState.FAILED
    assert "no GGUF file" in (failed.error or "")
