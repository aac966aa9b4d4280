"""A disk that fills up while a download runs: a real file system of 64 MB, where this machine lets us mount one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import NotEnoughSpace
from app.domain.models import DownloadState
from app.library.disk_share import free_bytes
from app.library.placing import Placing, copy_files, link_files
from app.library.provenance import Provenance
from tests.fake_hub import FakeHub
from tests.library.downloading import AT_ONCE, files_below, listing, new_manager, paused, state_of

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")]

MODEL = bytes(range(256)) * 160_000  # 41 MB
POLICY = replace(AT_ONCE, span_bytes=4 << 20, sync_s=0.02, stall_s=10.0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "hearth", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("may not mount a file system")
    yield folder
    # Lazily: what a failed test has left open must not stay for ever.
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add("org/repo", {"m-Q8_0.gguf": MODEL})
        yield hub


async def test_it_pauses_with_the_reason_and_goes_on_by_itself_where_it_was(fake: FakeHub, disk: Path) -> None:
    repository = await listing(fake)
    other = disk / "other"
    # Another program's file, which the check before the first byte did not see.
    other.write_bytes(bytes(40_000_000))
    looks = iter([10**12])
    manager = new_manager(fake, disk / "models", policy=POLICY, free=lambda folder: next(looks, 0) or free_bytes(folder))

    download_id = manager.start(repository, repository.models[0])
    stopped = await state_of(manager, download_id, DownloadState.PAUSED)
    with pytest.raises(NotEnoughSpace):
        await manager.wait(download_id)
    left = files_below(disk / "models")
    other.unlink()
    done = await state_of(manager, download_id, DownloadState.DONE)
    await manager.close()

    assert "are needed in" in (stopped.error or "")
    assert 5_000_000 < stopped.done_bytes < len(MODEL)
    assert "org/repo/m-Q8_0.gguf.part" in left
    assert done.done_bytes == len(MODEL)
    assert (disk / "models/org/repo/m-Q8_0.gguf").read_bytes() == MODEL


async def test_what_can_not_fit_is_known_before_a_byte_is_fetched(fake: FakeHub, disk: Path) -> None:
    repository = await listing(fake)
    (disk / "other").write_bytes(bytes(40_000_000))
    manager = new_manager(fake, disk / "models", policy=POLICY, free=free_bytes)

    download_id = manager.start(repository, repository.models[0])
    await state_of(manager, download_id, DownloadState.PAUSED)
    fetched = len(fake.transfers)
    await asyncio.to_thread((disk / "other").unlink)
    await state_of(manager, download_id, DownloadState.DONE)
    await manager.close()

    assert fetched == 0


async def test_what_another_download_set_aside_is_free_once_that_one_is_cancelled(fake: FakeHub, disk: Path) -> None:
    fake.add("org/more", {"a-Q8_0.gguf": MODEL, "b-Q4_0.gguf": MODEL[:30_000_000]})
    repository = await listing(fake, "org/more")
    fake.faults.pause_after = 2_000_000
    manager = new_manager(fake, disk / "models", policy=POLICY, free=free_bytes)

    small = manager.start(repository, repository.models[0])
    await paused(fake)
    large = manager.start(repository, repository.models[1])
    waiting = await state_of(manager, large, DownloadState.PAUSED)
    # Of itself it has room, but not beside the other one, which is cancelled then.
    fake.faults.pause_after = None
    manager.cancel(small)
    fake.resume.set()
    await state_of(manager, large, DownloadState.DONE)
    await manager.close()

    assert waiting.error
    assert files_below(disk / "models") == ["org/more/a-Q8_0.gguf"]


@pytest.fixture
def placing(disk: Path, tmp_path: Path) -> Placing:
    file = tmp_path / "m.gguf"
    file.write_bytes(MODEL)
    return Placing(file, disk / "models" / "imported" / "m.gguf", Provenance("", "", "m.gguf", len(MODEL), ""))


def test_a_copy_that_fills_the_disk_leaves_nothing(disk: Path, placing: Placing) -> None:
    def fill(_copied: int) -> None:
        if not (disk / "other").exists():
            (disk / "other").write_bytes(bytes(40_000_000))

    with pytest.raises(NotEnoughSpace) as told:
        copy_files([placing], disk / "models", on_bytes=fill, stopped=threading.Event())
    assert told.value.folder == disk / "models"
    assert files_below(disk) == ["other"]


def test_a_file_on_another_disk_is_linked_by_its_name(placing: Placing) -> None:
    link_files([placing])
    assert placing.target.readlink() == placing.source
