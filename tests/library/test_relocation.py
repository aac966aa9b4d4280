"""The models folder moves whole, or stays."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.errors import NotEnoughSpace, NotMovable
from app.domain.models import ModelSource
from app.library import relocation as moving
from app.library.file_lock import try_lock
from app.library.library import ModelLibrary
from app.library.moving_mark import MOVING_MARK, is_moving
from app.library.relocation import Relocation, place_for, sweep_move
from app.paths import Paths
from app.settings import SettingsStore
from tests.library.gguf_maker import write_model


def nothing(_done: int, _total: int) -> None:
    pass


def contents(top: Path) -> dict[str, bytes]:
    files = (path for path in top.rglob("*") if path.is_file() and path.name != MOVING_MARK)
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    write_model(tmp_path / "old" / "org" / "repo" / "m.gguf")
    write_model(tmp_path / "old" / "flat.gguf")
    (tmp_path / "old" / "empty.gguf").touch()
    (tmp_path / "old" / "org" / "repo" / ".hearth.json").write_text("{}")
    return tmp_path / "old"


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than `tmp_path`."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder) / "new"


def exists(path: Path) -> bool:
    return path.exists()


def bring(old: Path, new: Path) -> Relocation:
    relocation = Relocation(old, new)
    relocation.bring(nothing, threading.Event())
    return relocation


def test_on_one_disk_nothing_is_copied_and_everything_is_in_both_places_until_the_end(old: Path, tmp_path: Path) -> None:
    before, inode = contents(old), (old / "flat.gguf").stat().st_ino
    new = tmp_path / "new"

    relocation = bring(old, new)
    assert contents(old) == contents(new) == before
    assert relocation.finish() == ()

    assert contents(new) == before
    assert (new / "flat.gguf").stat().st_ino == inode
    assert not old.exists()


def test_on_another_disk_everything_is_copied_with_its_times(old: Path, other_disk: Path) -> None:
    before, modified = contents(old), (old / "flat.gguf").stat().st_mtime_ns
    heard: list[tuple[int, int]] = []
    relocation = Relocation(old, other_disk)

    relocation.bring(lambda done, total: heard.append((done, total)), threading.Event())
    assert contents(old) == contents(other_disk) == before
    relocation.finish()

    total = sum(len(data) for data in before.values())
    assert heard[-1] == (total, total)
    assert contents(other_disk) == before
    assert (other_disk / "flat.gguf").stat().st_mtime_ns == modified
    assert not old.exists()


def test_a_move_that_was_interrupted_is_taken_up_again(old: Path, other_disk: Path) -> None:
    before = contents(old)
    shutil.copytree(old, other_disk)
    (old / MOVING_MARK).touch()
    (other_disk / "flat.gguf").unlink()
    (other_disk / "org" / "repo" / "m.gguf.moving").touch()

    bring(old, other_disk).finish()

    assert not old.exists()
    assert {name: data for name, data in contents(other_disk).items() if not name.endswith(".moving")} == before


def test_stopping_leaves_all_as_it_was(old: Path, other_disk: Path) -> None:
    before = contents(old)
    stop = threading.Event()
    stop.set()

    assert not Relocation(old, other_disk).bring(nothing, stop)

    assert contents(old) == before
    assert not other_disk.exists()


def test_what_is_in_the_new_place_is_never_written_over(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    write_model(new / "flat.gguf", name="Another")
    before = contents(old), contents(new)

    with pytest.raises(NotMovable, match=r"flat\.gguf is there already"):
        bring(old, new)

    assert (contents(old), contents(new)) == before


def test_a_folder_within_the_other_is_refused(old: Path, tmp_path: Path) -> None:
    for new in (old, old / "sub", tmp_path):
        with pytest.raises(NotMovable, match="within each other"):
            bring(old, new)


def test_a_download_under_way_keeps_the_folder_where_it_is(old: Path, tmp_path: Path) -> None:
    part = old / "org" / "repo" / "coming.gguf.part"
    with part.open("wb") as file:
        assert try_lock(file.fileno())
        with pytest.raises(NotMovable, match="Pause it first"):
            bring(old, tmp_path / "new")
    assert not (tmp_path / "new").exists()

    bring(old, tmp_path / "new").finish()
    assert (tmp_path / "new" / "org" / "repo" / "coming.gguf.part").exists()


def test_a_disk_that_is_too_small_is_told_before_anything_is_copied(
    old: Path, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "free_bytes", lambda _folder: 200_000_100)

    with pytest.raises(NotEnoughSpace):
        bring(old, other_disk)

    assert not other_disk.exists()


def test_links_lead_where_they_led(old: Path, tmp_path: Path) -> None:
    target = write_model(tmp_path / "far" / "t.gguf")
    (old / "file.gguf").symlink_to(os.path.relpath(target, old))
    (old / "folder").symlink_to(target.parent, target_is_directory=True)
    (old / "within.gguf").symlink_to("flat.gguf")

    bring(old, tmp_path / "new").finish()

    assert (tmp_path / "new" / "file.gguf").samefile(target)
    assert (tmp_path / "new" / "folder" / "t.gguf").samefile(target)
    assert (tmp_path / "new" / "within.gguf").samefile(tmp_path / "new" / "flat.gguf")
    assert target.exists()
    assert not old.exists()


def test_without_hard_links_files_are_renamed_at_the_end(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    before = contents(old)

    relocation = bring(old, tmp_path / "new")
    assert contents(old) == before
    relocation.finish()

    assert contents(tmp_path / "new") == before
    assert not old.exists()


def test_a_folder_is_marked_while_it_moves_and_moves_once_at_a_time(old: Path, tmp_path: Path) -> None:
    relocation = bring(old, tmp_path / "new")
    assert is_moving(old)
    with pytest.raises(NotMovable, match="already"):
        bring(old, tmp_path / "other")
    relocation.abandon()
    assert not is_moving(old)

    bring(old, tmp_path / "new").finish()

    assert not old.exists()
    assert not is_moving(tmp_path / "new")


_KILLED = """
import os, signal, sys, threading
from pathlib import Path
from app.library.relocation import Relocation
done = lambda copied, total: os.kill(os.getpid(), signal.SIGKILL) if copied else None
Relocation(Path(sys.argv[1]), Path(sys.argv[2])).bring(done, threading.Event())
"""


def test_what_a_killed_move_left_half_done_is_swept(old: Path, other_disk: Path) -> None:
    before = contents(old)
    subprocess.run([sys.executable, "-c", _KILLED, str(old), str(other_disk)], check=False)
    assert any(name.endswith(".moving") for name in contents(other_disk))

    sweep_move(old)

    assert contents(old) == before
    assert not any(name.endswith(".moving") for name in contents(other_disk))
    assert not (old / MOVING_MARK).exists()


def test_models_get_a_folder_of_their_own_among_other_things(old: Path, tmp_path: Path) -> None:
    home, empty, again = tmp_path / "home", tmp_path / "empty", tmp_path / "again"
    for folder in (home, empty, again):
        folder.mkdir()
    (home / "letter.txt").touch()
    (again / "flat.gguf").touch()
    (again / "empty.gguf.moving").touch()

    assert place_for(old, home) == home / "models"
    assert place_for(old, empty) == empty
    assert place_for(old, again) == again
    assert place_for(old, tmp_path / "none") == tmp_path / "none"


@pytest.fixture
def settings() -> SettingsStore:
    return SettingsStore(Paths.of().settings_file)


@pytest.fixture
def library(settings: SettingsStore) -> ModelLibrary:
    return ModelLibrary(Paths.of(), settings)


@pytest.mark.anyio
async def test_the_library_follows_its_folder_and_listens_to_no_old_one(
    library: ModelLibrary, settings: SettingsStore, tmp_path: Path
) -> None:
    old, new = library.folder, tmp_path / "new"
    write_model(old / "org" / "repo" / "m.gguf")
    removed = write_model(old / "gone.gguf")
    await library.refresh()
    await library.remove("gone")
    heard: list[tuple[int, int]] = []

    moved = await library.move_folder(new, lambda done, total: heard.append((done, total)))

    assert moved.folder == library.folder == new
    assert moved.left == ()
    assert (settings.current.models_folder, settings.current.models_folders) == (new, ())
    model = library.resolve("m")
    assert model.path == new / "org" / "repo" / "m.gguf"
    assert model.source is ModelSource.LIBRARY
    assert heard[-1][0] == heard[-1][1] > 0
    assert not removed.exists()
    assert not old.exists()

    await library.move_folder(old)
    assert settings.current.models_folder is None


@pytest.mark.anyio
async def test_an_old_folder_that_can_not_be_emptied_stays_listed(
    library: ModelLibrary, settings: SettingsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = library.folder
    path = write_model(old / "m.gguf")
    unlink = Path.unlink

    def in_use(self: Path, missing_ok: bool = False) -> None:
        if self == path:
            raise PermissionError(13, "in use")
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", in_use)
    await library.refresh()

    moved = await library.move_folder(tmp_path / "new")

    assert moved.left == (path,)
    assert settings.current.models_folders == (old,)
    assert [(model.id, model.source) for model in library.models[1:]] == [("m", ModelSource.LIBRARY)]


@pytest.mark.anyio
async def test_what_is_put_into_the_old_folder_meanwhile_stays_listed(
    library: ModelLibrary, settings: SettingsStore, other_disk: Path
) -> None:
    old = library.folder
    write_model(old / "m.gguf")
    await library.refresh()

    await library.move_folder(other_disk, lambda _done, _total: write_model(old / "late.gguf", name="Late") and None)

    assert settings.current.models_folders == (old,)
    assert {"m", "late"} <= {model.id for model in library.models}


@pytest.mark.anyio
async def test_cancelling_leaves_the_folder_where_it_was(
    library: ModelLibrary, settings: SettingsStore, other_disk: Path
) -> None:
    path = write_model(library.folder / "m.gguf")
    with path.open("r+b") as file:
        file.truncate(256 << 20)
    begun = asyncio.Event()
    task = asyncio.create_task(library.move_folder(other_disk, lambda _done, _total: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert exists(path)
    assert not exists(other_disk)
    assert settings.current.models_folder is None
