from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import InvalidRequest, NotAModel, NotEnoughSpace
from app.library.placing import Placing, copy_files, link_files, sweep_copies
from app.library.provenance import Provenance, provenance_of

_SIZE = 20_000_000


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def items(tmp_path: Path, ours: Path) -> list[Placing]:
    made = []
    for number, name in enumerate(("a.gguf", "b.gguf")):
        file = tmp_path / "from" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes([number]) * _SIZE)
        made.append(Placing(file, ours / f"to{number}" / name, Provenance("org/repo", "1", name, _SIZE, "")))
    return made


def copy(items: list[Placing], ours: Path, told: list[int] | None = None) -> None:
    copy_files(items, ours, on_bytes=(told if told is not None else []).append, stopped=threading.Event())


def left(ours: Path) -> list[str]:
    return sorted(file.relative_to(ours).as_posix() for file in ours.rglob("*") if file.is_file())


def test_links_take_no_space_and_stay_when_the_first_names_go(items: list[Placing]) -> None:
    link_files(items)
    assert all(item.target.samefile(item.source) for item in items)
    items[0].source.unlink()
    assert items[0].target.stat().st_size == _SIZE
    assert provenance_of(items[0].target) == items[0].origin


def test_copies_are_whole_and_tell_how_far_they_are(items: list[Placing], ours: Path) -> None:
    told: list[int] = []
    os.utime(items[0].source, (1_700_000_000, 1_700_000_000))
    items[0].source.chmod(0o444)
    copy(items, ours, told)
    assert [item.target.read_bytes() == item.source.read_bytes() for item in items] == [True, True]
    assert told == sorted(told)
    assert told[-1] == 2 * _SIZE
    status = items[0].target.stat()
    assert (status.st_mtime, bool(status.st_mode & 0o200)) == (1_700_000_000, True)
    assert left(ours) == ["to0/.hearth.json", "to0/a.gguf", "to1/.hearth.json", "to1/b.gguf"]
    sha256 = hashlib.sha256(items[0].source.read_bytes()).hexdigest()
    assert provenance_of(items[0].target) == replace(items[0].origin, sha256=sha256)


def test_a_copy_that_is_stopped_leaves_nothing(items: list[Placing], ours: Path) -> None:
    stopped = threading.Event()
    with pytest.raises(InterruptedError):
        copy_files(items, ours, on_bytes=lambda done: stopped.set() if done > _SIZE else None, stopped=stopped)
    assert not ours.exists()


def test_nothing_is_seen_before_everything_is_there(items: list[Placing], ours: Path) -> None:
    seen: list[str] = []
    copy_files(items, ours, on_bytes=lambda _: seen.extend(left(ours)), stopped=threading.Event())
    assert seen
    assert all(name.startswith(".coming/") for name in seen)


def test_nothing_that_is_there_is_written_over(items: list[Placing], ours: Path) -> None:
    items[1].target.parent.mkdir(parents=True)
    items[1].target.write_bytes(b"mine")
    with pytest.raises(InvalidRequest, match=r"There is a b\.gguf"):
        link_files(items)
    with pytest.raises(InvalidRequest, match=r"There is a b\.gguf"):
        copy(items, ours)
    assert left(ours) == ["to1/b.gguf"]
    assert items[1].target.read_bytes() == b"mine"


def test_what_appears_meanwhile_is_not_written_over(items: list[Placing], ours: Path) -> None:
    def appear(_copied: int) -> None:
        items[1].target.parent.mkdir(exist_ok=True, parents=True)
        items[1].target.write_bytes(b"mine")

    with pytest.raises(InvalidRequest, match="File exists"):
        copy_files(items, ours, on_bytes=appear, stopped=threading.Event())
    assert left(ours) == ["to1/b.gguf"]
    assert items[1].target.read_bytes() == b"mine"


def test_files_that_would_be_one_are_refused(items: list[Placing], ours: Path) -> None:
    items[1] = replace(items[1], target=items[0].target.with_name("A.gguf"))
    for way in (lambda: link_files(items), lambda: copy(items, ours)):
        with pytest.raises(InvalidRequest, match="one after the other"):
            way()
    assert not ours.exists()


def test_a_file_that_vanishes_leaves_nothing_half_done(items: list[Placing], ours: Path) -> None:
    items[1].source.unlink()
    with pytest.raises(InvalidRequest, match=r"b\.gguf"):
        copy(items, ours)
    assert not ours.exists()


@pytest.mark.parametrize(
    ("change", "said"), [({"sha256": "0" * 64}, "damaged"), ({"size_bytes": _SIZE + 1}, "changed while it was copied")]
)
def test_a_file_that_is_not_what_it_should_be_is_not_copied(
    items: list[Placing], ours: Path, change: dict[str, object], said: str
) -> None:
    items[1] = replace(items[1], origin=replace(items[1].origin, **change))  # type: ignore[arg-type]
    with pytest.raises(NotAModel, match=said):
        copy(items, ours)
    assert not ours.exists()


def test_what_does_not_fit_is_not_begun(items: list[Placing], ours: Path) -> None:
    items[0] = replace(items[0], origin=replace(items[0].origin, size_bytes=1 << 60))
    with pytest.raises(NotEnoughSpace):
        copy(items, ours)
    assert not ours.exists()


_ENDLESS = """
import sys, threading, time
from pathlib import Path
from app.library.placing import Placing, copy_files
from app.library.provenance import Provenance

source, ours = map(Path, sys.argv[1:])
def wait(_copied):
    print("copying", flush=True)
    sys.stdin.read()
item = Placing(source, ours / "x" / "a.gguf", Provenance("", "", "a.gguf", source.stat().st_size, ""))
copy_files([item], ours, on_bytes=wait, stopped=threading.Event())
"""


def test_what_a_killed_program_left_is_swept_and_not_what_a_living_one_copies(items: list[Placing], ours: Path) -> None:
    command = [sys.executable, "-c", _ENDLESS, str(items[0].source), str(ours)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "copying\n"
        sweep_copies(ours)
        assert any(name.endswith("/0") for name in left(ours))
        other.kill()
        other.wait()
    sweep_copies(ours)
    assert list(ours.iterdir()) == []
