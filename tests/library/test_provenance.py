from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from app.library.provenance import FolderNotes, Provenance, forget_provenance, provenance_of, record_provenance

ONE = Provenance("org/repo", "abc", "sub/one.gguf", 3, "00ff")
TWO = Provenance("org/repo", "abc", "sub/two.gguf", 4, "")


def test_what_is_recorded_is_known_again_and_moves_with_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    record_provenance(folder / "one.gguf", ONE)
    record_provenance(folder / "two.gguf", TWO)
    moved = folder.rename(tmp_path / "b")
    assert provenance_of(moved / "one.gguf") == ONE
    assert provenance_of(moved / "two.gguf") == TWO
    assert provenance_of(moved / "three.gguf") is None


_PROGRAM = """
import sys
from pathlib import Path
from app.library.provenance import Provenance, record_provenance
for number in range(60):
    record_provenance(Path(sys.argv[1]) / f"{sys.argv[2]}-{number}.gguf", Provenance("org/repo", "", "m.gguf", 3, ""))
"""


def test_installs_into_one_folder_at_once_lose_no_note(tmp_path: Path) -> None:
    def note(who: int) -> None:
        for number in range(60):
            record_provenance(tmp_path / f"{who}-{number}.gguf", ONE)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(note, range(3)))

    assert len(FolderNotes().of(tmp_path)) == 180


@pytest.mark.skipif(sys.platform == "win32", reason="it locks no folders")
def test_two_programs_lose_no_note(tmp_path: Path) -> None:
    programs = [subprocess.Popen([sys.executable, "-c", _PROGRAM, str(tmp_path), str(who)]) for who in range(2)]
    assert [program.wait(60) for program in programs] == [0, 0]

    assert len(FolderNotes().of(tmp_path)) == 120


def test_the_last_to_be_forgotten_takes_the_notes_along(tmp_path: Path) -> None:
    record_provenance(tmp_path / "one.gguf", ONE)
    record_provenance(tmp_path / "two.gguf", TWO)
    forget_provenance(tmp_path / "one.gguf")
    assert provenance_of(tmp_path / "one.gguf") is None
    assert provenance_of(tmp_path / "two.gguf") == TWO
    forget_provenance(tmp_path / "two.gguf")
    assert list(tmp_path.iterdir()) == []


def test_notes_that_make_no_sense_are_none(tmp_path: Path) -> None:
    for text in (
        "",
        "[]",
        '{"format": 1, "files": []}',
        '{"format": 1, "files": {"one.gguf": {"size": 1}}}',
        '{"format": 9}',
        "[" * 100_000,
    ):
        (tmp_path / ".hearth.json").write_text(text)
        assert provenance_of(tmp_path / "one.gguf") is None


def test_notes_of_a_folder_follow_changes_and_leave_out_what_makes_no_sense(tmp_path: Path) -> None:
    notes = FolderNotes()
    assert notes.of(tmp_path) == {}
    record_provenance(tmp_path / "one.gguf", ONE)
    assert notes.of(tmp_path) == {"one.gguf": ONE}

    record_provenance(tmp_path / "two.gguf", replace(TWO, repository=5))  # type: ignore[arg-type]
    assert notes.of(tmp_path) == {"one.gguf": ONE}

    (tmp_path / ".hearth.json").unlink()
    assert notes.of(tmp_path) == {}
