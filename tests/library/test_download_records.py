"""What programs note about downloads that are not finished."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.domain.models import DownloadState, RemoteFile
from app.library.download_records import DownloadRecord, DownloadRecords

NewProgram = Callable[[], DownloadRecords]


def a_record(name: str, state: DownloadState = DownloadState.QUEUED) -> DownloadRecord:
    shards = tuple(f"{name}-0000{number}-of-00002.gguf" for number in (1, 2))
    files = (
        RemoteFile(shards, 300, "Q8_0", ("a" * 64, None), sizes=(100, 200)),
        RemoteFile(("mmproj.gguf",), 50, "F16", (None,), is_projector=True, urls=("https://example.org/mmproj.gguf",)),
    )
    return DownloadRecord("org/repo", "commit", files, Path("/models"), state, "It failed." if state == "failed" else None)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[NewProgram]:
    made: list[DownloadRecords] = []

    def new() -> DownloadRecords:
        made.append(DownloadRecords(tmp_path / "downloads"))
        return made[-1]

    yield new
    for records in made:
        records.close()


def test_the_next_program_finds_everything_as_it_was(program: NewProgram) -> None:
    written = (a_record("a"), a_record("b", DownloadState.PAUSED), a_record("c", DownloadState.FAILED))
    first = program()
    first.write(written)
    first.close()

    assert program().take() == written


@pytest.mark.skipif(os.name != "posix", reason="files have no such permissions here")
def test_nobody_else_can_read_the_addresses(program: NewProgram, tmp_path: Path) -> None:
    program().write([a_record("a")])

    (file,) = (tmp_path / "downloads").glob("*.json")
    assert file.stat().st_mode & 0o077 == 0


def test_what_a_running_program_notes_is_its_own(program: NewProgram) -> None:
    first, second = program(), program()
    first.write([a_record("a")])
    second.write([a_record("b")])

    assert second.take() == ()
    second.close()
    assert program().take() == (a_record("b"),)


def test_all_programs_that_have_ended_are_inherited_from(program: NewProgram, tmp_path: Path) -> None:
    programs = [program() for _ in "abc"]
    for records, name in zip(programs, "abc", strict=True):
        records.write([a_record(name), a_record("shared")])
    for records in programs[:2]:
        records.close()

    heir = program()

    assert {record.id for record in heir.take()} == {a_record(name).id for name in ("a", "b", "shared")}
    assert len(list((tmp_path / "downloads").glob("*.json"))) == 2


def test_what_is_not_wanted_stays_for_others(program: NewProgram) -> None:
    first = program()
    first.write([a_record("a"), a_record("b")])
    first.close()

    second = program()
    assert second.take(lambda record: record.id == a_record("b").id) == (a_record("b"),)
    second.write([])
    second.close()

    assert program().take() == (a_record("a"),)


@pytest.mark.parametrize("content", ["", "{", '{"format": 9}', '{"format": 1, "downloads": [{"files": []}]}', '{"format": 1}'])
def test_a_file_that_can_not_be_understood_is_put_aside(program: NewProgram, tmp_path: Path, content: str) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "0.json").write_text(content)

    records = program()

    assert records.take() == ()
    assert (folder / "0.bad").read_text() == content
    records.write([a_record("a")])
    records.close()
    assert program().take() == (a_record("a"),)


def test_nothing_to_note_leaves_no_file(program: NewProgram, tmp_path: Path) -> None:
    records = program()
    records.write([a_record("a")])
    records.write([])

    assert not list((tmp_path / "downloads").glob("*.json"))
