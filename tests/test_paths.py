from __future__ import annotations

from pathlib import Path

import pytest

from app.paths import Paths, resource


def test_everything_lies_under_the_profile(tmp_path: Path) -> None:
    paths = Paths.of(tmp_path)
    for path in (paths.settings_file, paths.models, paths.chats_file, paths.running_file, paths.log_file, paths.cache):
        assert path.is_relative_to(tmp_path)


def test_the_environment_names_a_profile_and_the_argument_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_PROFILE", str(tmp_path / "a"))
    assert Paths.of().data.is_relative_to(tmp_path / "a")
    assert Paths.of(tmp_path / "b").data.is_relative_to(tmp_path / "b")


def test_without_a_profile_the_folders_are_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEARTH_PROFILE")
    assert "hearth" in str(Paths.of().data).lower()


def test_the_built_in_model_ships_with_the_program() -> None:
    assert resource("ember", "ember.gguf").read_bytes()[:4] == b"GGUF"
