from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be without a display or its libraries")

_NO_DISPLAY = ":4097"


def why(statement: str, **variables: str) -> str:
    """What a fresh process says, with the environment of a person at an X display."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    env = {name: value for name, value in os.environ.items() if name not in hidden} | variables
    done = subprocess.run([sys.executable, "-c", statement], env=env, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


_ASK = "from app.gui.display import why_no_window; print(why_no_window())"


def test_a_display_that_does_not_answer_is_named_instead_of_ending_the_program() -> None:
    # Where a library of Qt is missing as well, that is said first.
    said = why(_ASK, DISPLAY=_NO_DISPLAY)
    assert said.startswith((f"The display {_NO_DISPLAY} can't be reached", "The window needs the system library"))


def test_a_platform_chosen_by_hand_is_left_alone() -> None:
    assert why(_ASK, DISPLAY=_NO_DISPLAY, QT_QPA_PLATFORM="offscreen") == ""


def test_a_missing_library_is_named_with_its_package() -> None:
    breaking = "import ctypes; real = ctypes.CDLL; words = 'libxcb-icccm.so.4: cannot open shared object file: No such file'\n"
    fake = "def fail(name):\n    raise OSError(words)\nctypes.CDLL = fail\n"
    assert "sudo apt install libxcb-icccm4" in why(breaking + fake + _ASK, DISPLAY=_NO_DISPLAY)
