from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from app.domain.errors import SettingsError
from app.service.api_keys import ApiKey, ApiKeys


@pytest.fixture
def keys(tmp_path: Path) -> ApiKeys:
    return ApiKeys(tmp_path / "keys")


def test_a_key_opens_under_its_name_and_no_other_does(keys: ApiKeys) -> None:
    first, second = keys.create("laptop"), keys.create("phone")
    assert first != second
    assert keys.name_of(first.encode()) == "laptop"
    assert keys.name_of(second.encode()) == "phone"
    for wrong in (b"", b"laptop", first[:-1].encode(), first.upper().encode(), b"\xff\x00"):
        assert keys.name_of(wrong) is None


def test_nothing_that_is_kept_tells_the_key(keys: ApiKeys, tmp_path: Path) -> None:
    key = keys.create("laptop")
    for file in (tmp_path / "keys").iterdir():
        assert key.removeprefix("hearth-") not in file.name + file.read_text()


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_nobody_else_can_read_what_is_kept(keys: ApiKeys, tmp_path: Path) -> None:
    keys.create("laptop")
    (file,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_other_programs_of_the_profile_see_each_change_at_once(keys: ApiKeys, tmp_path: Path) -> None:
    other = ApiKeys(tmp_path / "keys")
    for number in range(20):
        key = keys.create(f"key {number}").encode()
        assert other.name_of(key) == f"key {number}"
        keys.revoke(f"key {number}")
        assert other.name_of(key) is None


def test_the_last_use_is_told(keys: ApiKeys) -> None:
    key = keys.create("laptop")
    assert [known.last_used for known in keys.listed()] == [None]
    keys.name_of(key.encode())
    (known,) = keys.listed()
    assert known.last_used is not None
    assert abs((known.last_used - known.created).total_seconds()) < 60


def test_a_name_is_taken_until_its_key_is_revoked(keys: ApiKeys) -> None:
    keys.create(" laptop ")
    with pytest.raises(SettingsError, match="already"):
        keys.create("laptop")
    keys.revoke("laptop")
    keys.create("laptop")
    assert [key.name for key in keys.listed()] == ["laptop"]


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\nb", "a\x1b[2J"])
def test_an_unfit_name_is_refused(keys: ApiKeys, name: str) -> None:
    with pytest.raises(SettingsError, match="name"):
        keys.create(name)


@pytest.mark.parametrize("name", ["none", "../laptop", ""])
def test_what_does_not_exist_can_not_be_revoked(keys: ApiKeys, name: str) -> None:
    with pytest.raises(SettingsError, match="no key"):
        keys.revoke(name)


def test_what_is_damaged_opens_nothing(keys: ApiKeys, tmp_path: Path) -> None:
    key = keys.create("laptop")
    (file,) = (tmp_path / "keys").iterdir()
    for damage in ("", "{}", "[]", '{"name": "laptop"}', '{"name": "x", "created": 5}'):
        file.write_text(damage)
        assert ApiKeys(tmp_path / "keys").name_of(key.encode()) is None
        assert ApiKeys(tmp_path / "keys").listed() == ()


def test_copies_and_times_of_no_zone_are_passed_over(keys: ApiKeys, tmp_path: Path) -> None:
    key = keys.create("laptop")
    (file,) = (tmp_path / "keys").iterdir()
    for name in (f"{file.stem} - 副本", f"{file.stem} (1)", "notes"):
        file.with_stem(name).write_text(file.read_text())
    file.with_stem("0" * 64).write_text('{"name": "phone", "created": "2026-01-02T03:04:05"}')

    again = ApiKeys(tmp_path / "keys")
    assert again.name_of(key.encode()) == "laptop"
    assert [known.name for known in again.listed()] == ["laptop"]


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    with pytest.raises(SettingsError, match="can't be written"):
        ApiKeys(tmp_path / "keys").create("laptop")


def test_changes_are_announced(keys: ApiKeys) -> None:
    told: list[tuple[ApiKey, ...]] = []
    keys.changed.subscribe(told.append)
    keys.create("laptop")
    keys.revoke("laptop")
    assert [[key.name for key in known] for known in told] == [["laptop"], []]
