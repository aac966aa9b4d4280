"""What was seen, and whether it still looks the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.library.headers import HeaderCache
from app.library.look import Look, Seen
from tests.library.gguf_maker import write_model

LONG_AGO = (1_600_000_000, 1_600_000_000)


def age(top: Path) -> None:
    """Make everything look old, so that only later changes count as new."""
    for path in (*top.rglob("*"), top):
        os.utime(path, LONG_AGO)


def seen(top: Path) -> Seen:
    look = Look(HeaderCache(top.parent / "headers.json"))
    look.files(top)
    return look.seen


@pytest.fixture
def top(tmp_path: Path) -> Path:
    write_model(tmp_path / "models" / "org" / "repo" / "m.gguf")
    (tmp_path / "models" / "empty").mkdir()
    age(tmp_path / "models")
    return tmp_path / "models"


def grow(top: Path) -> None:
    path = top / "org" / "repo" / "m.gguf"
    with path.open("ab") as file:
        file.write(b"more")
    os.utime(path.parent, LONG_AGO)


@pytest.mark.parametrize(
    "change",
    [
        lambda top: write_model(top / "empty" / "new.gguf"),
        lambda top: (top / "org" / "repo" / "m.gguf").unlink(),
        lambda top: (top / "org" / "repo").rename(top / "org" / "other"),
        lambda top: (top / "another").mkdir(),
        grow,
    ],
    ids=["new file", "deleted", "renamed folder", "new folder", "written into"],
)
def test_a_change_is_noticed(top: Path, change: Callable[[Path], object]) -> None:
    before = seen(top)
    assert not before.has_changed()

    change(top)

    assert before.has_changed()


def test_what_changed_just_before_it_was_read_is_looked_at_once_more(top: Path) -> None:
    write_model(top / "new.gguf")

    assert seen(top).has_changed()


def test_a_folder_that_comes_into_being_is_noticed(tmp_path: Path) -> None:
    before = seen(tmp_path / "later")
    assert not before.has_changed()

    (tmp_path / "later").mkdir()

    assert before.has_changed()


def test_folders_are_read_in_order_each_once_and_not_too_deep(top: Path) -> None:
    write_model(top / "a" / "b.gguf")
    write_model(top / "a" / "B" / "c.gguf")
    write_model(top.joinpath(*"123456789") / "deep.gguf")
    (top / "z").symlink_to(top / "a", target_is_directory=True)
    (top / "loop").symlink_to(top, target_is_directory=True)
    look = Look(HeaderCache(top.parent / "headers.json"))

    names = [file.path.relative_to(top).as_posix() for file in look.files(top)]

    assert names == ["a/b.gguf", "a/B/c.gguf", "org/repo/m.gguf"]


def test_a_link_that_leads_in_a_circle_hides_nothing_beside_it(top: Path) -> None:
    for name in ("loop.gguf", "loop"):
        (top / "org" / "repo" / name).symlink_to(name)
    errors: list[OSError] = []

    found = Look(HeaderCache(top.parent / "headers.json")).files(top, errors.append)

    assert [file.path.name for file in found] == ["m.gguf"]
    assert errors == []
