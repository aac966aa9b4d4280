from __future__ import annotations

from pathlib import Path

import pytest

from app.service.whole_file import write_whole


def test_a_file_beside_it_with_a_similar_name_stays(tmp_path: Path) -> None:
    file, similar = tmp_path / "chats.json", tmp_path / "chats.json.new"
    file.write_bytes(b"old")
    similar.write_bytes(b"a person's own")
    write_whole(file, b"new")
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {file.name: b"new", similar.name: b"a person's own"}


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(folder, b"new")
    assert list(tmp_path.iterdir()) == [folder]
