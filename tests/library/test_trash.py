"""What is removed is renamed, and only what is ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.domain.errors import NotRemovable, NotRestorable
from app.library.trash import Trash, freed_bytes


def write(path: Path, size_bytes: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size_bytes))
    return path


def test_files_of_one_name_from_two_folders_come_back_each_to_its_own(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a" / "m.gguf", 1), write(tmp_path / "b" / "m.gguf", 2)
    trash = Trash()
    removal_id = trash.put("m", (first, second), tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [".hearth-trash"]

    trash.restore(removal_id)

    assert (first.stat().st_size, second.stat().st_size) == (1, 2)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b"]


def test_nothing_is_touched_if_one_file_is_not_ours(tmp_path: Path) -> None:
    ours, theirs = write(tmp_path / "ours" / "m.gguf"), write(tmp_path / "theirs" / "m.gguf")

    with pytest.raises(NotRemovable, match="not Hearth's own"):
        Trash().put("m", (ours, theirs), tmp_path / "ours")

    assert ours.exists()
    assert [entry.name for entry in (tmp_path / "ours").iterdir()] == ["m.gguf"]


@pytest.mark.skipif(os.name != "posix", reason="rights of folders are of POSIX")
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may do anything")
def test_what_the_system_refuses_leaves_everything_in_place(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a" / "m.gguf"), write(tmp_path / "b" / "m.gguf")
    second.parent.chmod(0o500)
    try:
        with pytest.raises(NotRemovable, match="in use"):
            Trash().put("m", (first, second), tmp_path)
    finally:
        second.parent.chmod(0o700)

    assert first.exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b"]


def test_emptying_is_for_good(tmp_path: Path) -> None:
    file = write(tmp_path / "m.gguf")
    trash = Trash()
    removal_id = trash.put("m", (file,), tmp_path)

    trash.empty()

    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotRestorable):
        trash.restore(removal_id)


def test_what_a_killed_program_left_is_deleted_but_not_what_a_living_one_may_bring_back(tmp_path: Path) -> None:
    gone, kept = write(tmp_path / "gone.gguf"), write(tmp_path / "kept.gguf")
    script = (
        "import os, sys; from pathlib import Path; from app.library.trash import Trash\n"
        "Trash().put('m', (Path(sys.argv[1]),), Path(sys.argv[2])); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(gone), str(tmp_path)], check=False, timeout=60)
    assert len(list((tmp_path / ".hearth-trash").iterdir())) == 1
    living = Trash()
    removal_id = living.put("m", (kept,), tmp_path)

    Trash.sweep(tmp_path)

    assert [entry.name for entry in (tmp_path / ".hearth-trash").iterdir()] == [removal_id]
    living.restore(removal_id)
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.gguf"]


def test_links_and_files_with_another_name_free_nothing(tmp_path: Path) -> None:
    file, linked, target = write(tmp_path / "m", 7), write(tmp_path / "linked", 100), write(tmp_path / "target", 1000)
    os.link(linked, tmp_path / "other-name")
    (tmp_path / "link").symlink_to(target)

    assert freed_bytes((file, linked, tmp_path / "link", tmp_path / "none")) == 7


def test_what_somebody_else_put_there_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / ".hearth-trash" / "Old notes" / "thesis.md"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    unlocked = tmp_path / ".hearth-trash" / ("a" * 32) / "file"
    unlocked.parent.mkdir()
    unlocked.write_text("no removal of ours: it has no lock")
    Trash.sweep(tmp_path)
    assert theirs.exists()
    assert unlocked.exists()
