"""Files are compared with what was noted of them."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path

import pytest

from app.domain.models import FileState
from app.library.library import ModelLibrary
from app.library.provenance import Provenance, record_provenance
from app.library.verify import check_files
from app.paths import Paths
from app.settings import SettingsStore
from tests.library.gguf_maker import write_model, write_projector


def noted(path: Path, *, sha256: str | None = None) -> Path:
    data = path.read_bytes()
    told = hashlib.sha256(data).hexdigest() if sha256 is None else sha256
    record_provenance(path, Provenance("org/repo", "abc", path.name, len(data), told))
    return path


def state_of(path: Path) -> FileState:
    (check,) = check_files([path], lambda _done, _total: None, threading.Event())
    return check.state


def spoil(path: Path) -> None:
    """One byte of the last tensor: no header says so."""
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def test_a_file_is_intact_until_a_single_byte_of_it_changes(tmp_path: Path) -> None:
    path = noted(write_model(tmp_path / "m.gguf"))
    assert state_of(path) is FileState.INTACT

    spoil(path)

    assert state_of(path) is FileState.DAMAGED


def test_a_file_of_another_size_is_damaged_without_being_read(tmp_path: Path) -> None:
    path = noted(write_model(tmp_path / "m.gguf"))
    path.write_bytes(path.read_bytes() + b"x")
    told: list[int] = []

    (check,) = check_files([path], lambda done, _total: told.append(done), threading.Event())

    assert check.state is FileState.DAMAGED
    assert check.sha256 == ""
    assert told == []


def test_a_file_that_is_gone_is_missing(tmp_path: Path) -> None:
    path = noted(write_model(tmp_path / "m.gguf"))
    path.unlink()

    assert state_of(path) is FileState.MISSING


def test_stores_that_call_files_by_their_hash_are_taken_at_their_word(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m")
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    blob = model.rename(tmp_path / f"sha256-{sha256}")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / sha256).write_bytes(blob.read_bytes())
    link = tmp_path / "m.gguf"
    link.symlink_to(tmp_path / "blobs" / sha256)

    assert state_of(blob) is FileState.INTACT
    assert state_of(link) is FileState.INTACT
    spoil(blob)
    assert state_of(blob) is FileState.DAMAGED


def test_without_a_hash_only_the_header_can_tell(tmp_path: Path) -> None:
    path = noted(write_model(tmp_path / "m.gguf"), sha256="")
    bare = write_model(tmp_path / "bare.gguf")
    assert state_of(path) is FileState.UNKNOWN
    assert state_of(bare) is FileState.UNKNOWN

    bare.write_bytes(bare.read_bytes()[:-5000])
    assert state_of(bare) is FileState.DAMAGED
    bare.write_bytes(b"hello")
    assert state_of(bare) is FileState.DAMAGED


@pytest.fixture
def library() -> ModelLibrary:
    return ModelLibrary(Paths.of(), SettingsStore(Paths.of().settings_file))


@pytest.mark.anyio
async def test_all_files_of_a_model_are_verified_and_progress_ends_at_the_end(library: ModelLibrary) -> None:
    folder = library.folder / "org" / "repo"
    files = [noted(write_model(folder / "m.gguf")), noted(write_projector(folder / "mmproj.gguf"))]
    await library.refresh()
    heard: list[tuple[int, int]] = []

    found = await library.verify("M", lambda done, total: heard.append((done, total)))

    assert found.sound
    assert [(file.path, file.state) for file in found.files] == [(file, FileState.INTACT) for file in files]
    size_bytes = sum(file.stat().st_size for file in files)
    assert heard[-1] == (size_bytes, size_bytes)
    spoil(files[1])
    assert not (await library.verify("m")).sound


@pytest.mark.anyio
async def test_a_verification_that_is_cancelled_stops_reading(library: ModelLibrary) -> None:
    path = write_model(library.folder / "m.gguf")
    with path.open("r+b") as file:
        file.truncate(2 << 30)
    record_provenance(path, Provenance("org/repo", "abc", "m.gguf", 2 << 30, "0" * 64))
    await library.refresh()
    begun = asyncio.Event()
    heard: list[int] = []

    def on_progress(done: int, _total: int) -> None:
        heard.append(done)
        begun.set()

    task = asyncio.create_task(library.verify("m", on_progress))
    await asyncio.wait_for(begun.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert heard[-1] < 2 << 30
