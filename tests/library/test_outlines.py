from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from app.domain.errors import NotAModel
from app.library.outline import outline_of
from app.library.outlines import Outlines
from tests.library.gguf_maker import write_model


def test_an_outline_is_made_once_until_the_file_changes(tmp_path: Path) -> None:
    outlines = Outlines(tmp_path / "outlines")
    path = write_model(tmp_path / "model.gguf")
    first = outlines.of_model(path)
    made = first.stat().st_ino
    assert outlines.of_model(path) == first
    assert first.stat().st_ino == made
    os.utime(path, (1, 1))
    assert outlines.of_model(path) != first


def test_all_shards_are_read(tmp_path: Path) -> None:
    outlines = Outlines(tmp_path / "outlines")
    first = write_model(tmp_path / "m-00001-of-00002.gguf", split=(0, 2, 2))
    with pytest.raises(NotAModel):
        outlines.of_model(first)
    write_model(tmp_path / "m-00002-of-00002.gguf", split=(1, 2, 2), tensors={"output.weight": np.zeros((32, 64), np.float32)})
    assert len(outline_of([outlines.of_model(first)]).tensors) == 2


def test_what_was_not_used_for_long_makes_room(tmp_path: Path) -> None:
    outlines = Outlines(tmp_path / "outlines", most=4)
    outline = outline_of([write_model(tmp_path / "model.gguf")])
    for number in range(4):
        os.utime(outlines.keep(f"{number}", outline), (number, number))
    assert outlines.known("0") is not None
    outlines.keep("new", outline)
    assert [outlines.known(key) is not None for key in ("0", "1", "2", "3", "new")] == [True, False, False, True, True]
