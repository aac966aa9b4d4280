"""What has arrived is kept, checked, and given its name only when it is right."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import ChecksumMismatch, DownloadError
from app.library.part_file import Expected, PartFile, already_there

DATA = os.urandom(100_000)
EXPECTED = Expected("m.gguf", "commit", len(DATA), hashlib.sha256(DATA).hexdigest())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "org" / "repo" / "m.gguf"


def opened(target: Path, expected: Expected = EXPECTED) -> PartFile:
    part = PartFile(target, expected)
    part.open()
    return part


def write(part: PartFile, data: bytes, offset: int | None = None) -> None:
    """At an offset, or after what is there."""
    start = part.have.prefix if offset is None else offset
    with part.writer(start) as writer:
        writer.write(data)
        part.have.add(start, writer.position)


def left_behind(target: Path, n_bytes: int, *, expected: Expected = EXPECTED, etag: str = '"e"') -> None:
    part = opened(target, expected)
    part.etag = etag
    write(part, DATA[:n_bytes])
    part.close()


def test_a_whole_file_is_installed_and_nothing_else_is_left(target: Path) -> None:
    part = opened(target)
    write(part, DATA[:1000])
    assert not target.exists()
    write(part, DATA[1000:])
    part.verify()
    part.install()

    assert target.read_bytes() == DATA
    assert os.listdir(target.parent) == ["m.gguf"]
    assert already_there(target, EXPECTED)


def test_what_an_earlier_run_left_is_taken_up_and_hashed(target: Path) -> None:
    left_behind(target, 60_000)

    part = opened(target)

    assert part.on_disk_bytes() == part.have_bytes == 60_000
    assert part.taken_up
    assert part.etag == '"e"'
    write(part, DATA[60_000:])
    part.verify()
    part.close()


@pytest.mark.parametrize(
    "other",
    [
        replace(EXPECTED, sha256="0" * 64),
        replace(EXPECTED, size_bytes=len(DATA) + 1),
        replace(EXPECTED, sha256=None),
    ],
)
def test_a_part_of_another_version_is_not_taken_up(target: Path, other: Expected) -> None:
    left_behind(target, 60_000)

    part = opened(target, other)

    assert part.have_bytes == 0
    assert not part.taken_up
    part.close()


def test_the_same_content_at_a_later_commit_is_taken_up(target: Path) -> None:
    left_behind(target, 60_000)

    part = opened(target, replace(EXPECTED, revision="later"))

    assert part.have_bytes == 60_000
    part.close()


def test_without_a_hash_only_the_same_commit_is_taken_up(target: Path) -> None:
    unhashed = replace(EXPECTED, sha256=None)
    left_behind(target, 60_000, expected=unhashed)

    assert PartFile(target, unhashed).on_disk_bytes() == 60_000
    assert PartFile(target, replace(unhashed, revision="later")).on_disk_bytes() == 0


@pytest.mark.parametrize(
    "state", [b"", b"{", b"null", b'{"format": 1}', b'{"format": 1, "expected": {"x": 1}, "etag": ""}', b"\xff"]
)
def test_a_damaged_state_file_means_beginning_anew(target: Path, state: bytes) -> None:
    left_behind(target, 60_000)
    target.with_name("m.gguf.part.json").write_bytes(state)

    part = opened(target)

    assert part.have_bytes == 0
    part.close()


def test_what_was_not_noted_is_not_taken_up(target: Path) -> None:
    left_behind(target, 60_000)
    with target.with_name("m.gguf.part").open("r+b") as file:
        file.truncate(len(DATA) * 2)

    part = opened(target)

    assert part.have_bytes == 60_000
    write(part, DATA[60_000:])
    part.verify()
    part.install()
    assert target.read_bytes() == DATA


def test_what_was_noted_but_is_gone_is_not_taken_up(target: Path) -> None:
    left_behind(target, 60_000)
    with target.with_name("m.gguf.part").open("r+b") as file:
        file.truncate(10_000)

    part = opened(target)

    assert part.have.spans == ((0, 10_000),)
    part.close()


def test_pieces_that_arrive_out_of_order_are_hashed_in_order(target: Path) -> None:
    part = opened(target)
    write(part, DATA[50_000:], 50_000)
    assert not part.hash_step()
    part.close()

    part = opened(target)
    assert part.have.spans == ((50_000, len(DATA)),)
    write(part, DATA[:50_000])
    part.verify()
    assert part.sha256 == EXPECTED.sha256
    part.close()


def test_after_a_kill_what_was_synced_is_there(target: Path) -> None:
    part = opened(target)
    write(part, DATA[:30_000])
    part.sync(part.have.spans)
    write(part, DATA[30_000:60_000])

    assert PartFile(target, EXPECTED).on_disk_bytes() == 30_000
    part.close()


def test_one_wrong_byte_is_found(target: Path) -> None:
    part = opened(target)
    write(part, DATA[:-1] + bytes([DATA[-1] ^ 1]))

    with pytest.raises(ChecksumMismatch, match="damaged"):
        part.verify()
    part.discard()
    assert os.listdir(target.parent) == []


def test_a_short_file_without_a_hash_is_found(target: Path) -> None:
    part = opened(target, replace(EXPECTED, sha256=None))
    write(part, DATA[:-1])

    with pytest.raises(ChecksumMismatch, match="99999 of 100000"):
        part.verify()
    part.close()


def test_starting_over_forgets_bytes_and_hash(target: Path) -> None:
    part = opened(target)
    write(part, b"x" * 500)
    part.start_over()
    write(part, DATA)

    part.verify()
    assert part.etag == ""
    part.close()


def test_a_discarded_part_can_be_opened_again(target: Path) -> None:
    part = opened(target)
    write(part, b"x" * 500)
    part.discard()
    part.open()
    write(part, DATA)

    part.verify()
    part.install()
    assert target.read_bytes() == DATA


def test_a_part_that_another_program_writes_is_neither_opened_nor_deleted(target: Path) -> None:
    theirs = opened(target)
    write(theirs, DATA[:500])
    ours = PartFile(target, EXPECTED)

    with pytest.raises(DownloadError, match="another Hearth"):
        ours.open()
    ours.discard()

    write(theirs, DATA[500:])
    theirs.verify()
    theirs.install()
    assert target.read_bytes() == DATA


def test_discarding_what_is_not_there_does_nothing(target: Path) -> None:
    PartFile(target, EXPECTED).discard()

    assert not target.parent.exists()


def test_a_file_of_the_same_size_with_other_bytes_is_not_there_already(target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(bytes(len(DATA)))

    assert not already_there(target, EXPECTED)
    assert already_there(target, replace(EXPECTED, sha256=None))
    assert not already_there(target.with_name("none"), EXPECTED)


@pytest.mark.skipif(sys.platform == "win32", reason="files have no gaps there")
def test_room_that_is_taken_is_known_whether_it_was_noted_or_not(target: Path) -> None:
    part = opened(target)
    with part.writer(80_000) as writer:
        writer.write(DATA[80_000:])

    taken = PartFile(target, EXPECTED).taken_bytes()
    part.discard()

    assert 20_000 <= taken <= 28_192
    assert PartFile(target, EXPECTED).taken_bytes() == 0
