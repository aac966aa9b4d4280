from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from app.domain.errors import InvalidRequest
from app.library.placing import copy_files, link_files


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "from" / name for name in ("a.gguf", "b.gguf")]
    for number, file in enumerate(made):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes([number]) * 20_000_000)
    return made


def left(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*")) if folder.exists() else []


def test_links_take_no_space_and_stay_when_the_first_names_go(files: list[Path], tmp_path: Path) -> None:
    made = link_files(files, tmp_path / "to")
    assert [file.samefile(other) for file, other in zip(files, made, strict=True)] == [True, True]
    files[0].unlink()
    assert made[0].stat().st_size == 20_000_000


def test_copies_are_whole_and_tell_how_far_they_are(files: list[Path], tmp_path: Path) -> None:
    told: list[int] = []
    os.utime(files[0], (1_700_000_000, 1_700_000_000))
    made = copy_files(files, tmp_path / "to", on_bytes=told.append, stopped=threading.Event())
    assert [file.read_bytes() for file in made] == [file.read_bytes() for file in files]
    assert told == sorted(told)
    assert told[-1] == 40_000_000
    assert made[0].stat().st_mtime == 1_700_000_000
    assert left(tmp_path / "to") == ["a.gguf", "b.gguf"]


def test_a_copy_that_is_stopped_leaves_nothing(files: list[Path], tmp_path: Path) -> None:
    stopped = threading.Event()
    with pytest.raises(InterruptedError):
        copy_files(files, tmp_path / "to", on_bytes=lambda done: stopped.set() if done > 21_000_000 else None, stopped=stopped)
    assert not (tmp_path / "to").exists()


def test_nothing_that_is_there_is_written_over(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "b.gguf").write_bytes(b"mine")
    with pytest.raises(InvalidRequest, match=r"There is a b\.gguf"):
        link_files(files, tmp_path / "to")
    with pytest.raises(InvalidRequest, match=r"There is a b\.gguf"):
        copy_files(files, tmp_path / "to", on_bytes=lambda _: None, stopped=threading.Event())
    assert left(tmp_path / "to") == ["b.gguf"]
    assert (tmp_path / "to" / "b.gguf").read_bytes() == b"mine"


def test_a_file_that_vanishes_leaves_nothing_half_done(files: list[Path], tmp_path: Path) -> None:
    files[1].unlink()
    with pytest.raises((InvalidRequest, OSError)):
        copy_files(files, tmp_path / "to", on_bytes=lambda _: None, stopped=threading.Event())
    assert left(tmp_path / "to") == []
