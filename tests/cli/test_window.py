from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.cli.window import has_display
from app.paths import Paths
from app.settings import SettingsStore
from tests.cli.program import hearth


def test_without_a_display_it_says_so_and_serves(profile: Path) -> None:
    # The window has no --port: a free one is chosen by the settings of this profile.
    SettingsStore(Paths.of(profile).settings_file).update(port=0)
    with hearth() as program:
        first, _ready = program.said.splitlines()
        assert "no display" in first


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a window can always be shown")
def test_with_a_display_that_does_not_answer_it_says_so_and_serves(profile: Path) -> None:
    SettingsStore(Paths.of(profile).settings_file).update(port=0)
    with hearth(DISPLAY=":4097") as program:
        first, _ready = program.said.splitlines()
        assert "without a window" in first


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these always have a display")
def test_a_display_is_seen_by_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert not has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_display()
