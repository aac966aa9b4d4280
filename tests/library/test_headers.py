"""Headers are read once, until a file changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.library.headers import HeaderCache
from tests.library.gguf_maker import write_model


def test_a_header_survives_in_the_cache_file(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", pooling=3)
    first = HeaderCache(tmp_path / "cache" / "headers.json")
    known = first.file(path)
    first.save()
    status = path.stat()
    # Same size and time, but nothing a header could be read from.
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert HeaderCache(tmp_path / "cache" / "headers.json").file(path) == known
    assert known is not None
    assert known.header is not None


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf", name="Before")
    headers = HeaderCache(tmp_path / "headers.json")
    headers.file(path)
    write_model(path, name="After this")

    file = headers.file(path)

    assert file is not None
    assert file.header is not None
    assert file.header.name == "After this"


def test_what_is_wrong_with_a_file_is_remembered_as_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"hello")
    first = HeaderCache(tmp_path / "headers.json")
    first.file(path)
    first.save()

    file = HeaderCache(tmp_path / "headers.json").file(path)

    assert file is not None
    assert file.problem == "It is not a GGUF file."


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert HeaderCache(tmp_path / "headers.json").file(tmp_path / "none.gguf") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"format": 1}',
        b'{"format": 0, "headers": {}}',
        b'{"format":1,"headers":{"a":[1,2,{}]}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_cache_file_is_ignored_and_replaced(tmp_path: Path, content: bytes) -> None:
    cache = tmp_path / "headers.json"
    cache.write_bytes(content)
    path = write_model(tmp_path / "m.gguf")

    headers = HeaderCache(cache)
    file = headers.file(path)
    headers.save()

    assert file is not None
    assert file.header is not None
    assert HeaderCache(cache).file(path) == file


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_be_read_again_is_read(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.gguf")
    headers = HeaderCache(tmp_path / "headers.json")
    path.chmod(0)
    closed = headers.file(path)
    path.chmod(0o600)
    opened = headers.file(path)

    assert closed is not None
    assert "not allowed" in (closed.problem or "")
    assert opened is not None
    assert opened.problem is None


def test_files_that_are_gone_leave_the_cache_file(tmp_path: Path) -> None:
    gone = write_model(tmp_path / "gone.gguf")
    headers = HeaderCache(tmp_path / "headers.json")
    headers.file(gone)
    gone.unlink()
    headers.file(write_model(tmp_path / "stays.gguf"))
    headers.save()

    text = (tmp_path / "headers.json").read_text("utf-8")

    assert "stays.gguf" in text
    assert "gone.gguf" not in text
