from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.gui.single_instance import SingleInstance
from app.paths import Paths

_SCRIPT = """
import os, sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from app.gui.single_instance import SingleInstance
from app.paths import Paths
app = QCoreApplication([])
instance = SingleInstance(Paths.of(Path(sys.argv[1])))
if sys.argv[2] == "crash":
    assert instance.claim()
    os._exit(0)
sys.exit(3 if instance.claim() else 0 if instance.hand_over() else 4)
"""


def _other_process(profile: Path, what: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _SCRIPT, str(profile), what], cwd=Path(__file__).parents[2])


def test_a_second_start_shows_the_first_window(qtbot: QtBot, profile: Path) -> None:
    first = SingleInstance(Paths.of(profile))
    assert first.claim()
    with qtbot.waitSignal(first.show_asked, timeout=20_000):
        second = _other_process(profile, "start")
    qtbot.waitUntil(lambda: second.poll() is not None, timeout=20_000)
    assert second.returncode == 0
    first.close()


def test_another_profile_has_a_window_of_its_own(qapp: QApplication, tmp_path: Path) -> None:
    one, other = SingleInstance(Paths.of(tmp_path / "one")), SingleInstance(Paths.of(tmp_path / "other"))
    assert one.claim()
    assert other.claim()
    one.close()
    other.close()


def test_after_the_first_has_closed_the_next_is_first(qapp: QApplication, profile: Path) -> None:
    first, second = SingleInstance(Paths.of(profile)), SingleInstance(Paths.of(profile))
    assert first.claim()
    assert not second.claim()
    first.close()
    assert second.claim()
    second.close()


def test_with_nobody_there_nothing_is_handed_over(qapp: QApplication, profile: Path) -> None:
    assert not SingleInstance(Paths.of(profile)).hand_over()


def test_what_a_crash_left_behind_does_not_get_in_the_way(qapp: QApplication, profile: Path) -> None:
    with _other_process(profile, "crash") as crashed:
        assert crashed.wait(20) == 0
    first = SingleInstance(Paths.of(profile))
    assert first.claim()
    first.close()
