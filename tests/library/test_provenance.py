from __future__ import annotations

from dataclasses import replace
from pathlib import Path

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
