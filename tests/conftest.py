"""What every test gets: a throw-away profile, no screen, and no network but loopback."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from app.library.stores import Surroundings

# No test changes the keyring of whoever runs it.
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"

# Before the first QApplication.
os.environ["QT_QPA_PLATFORM"] = "offscreen"

# Only on this thread: another would delete Qt objects that a finished test has left in a cycle.
gc.disable()

EMBER = Path(__file__).parents[1] / "resources" / "ember"


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Collect garbage between tests: all of it after tests of the window, the young after others."""
    gc.collect() if nodeid.startswith(("tests/gui", "tests/e2e")) else gc.collect(1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile folder of this test's own."""
    folder = tmp_path / "profile"
    monkeypatch.setenv("HEARTH_PROFILE", str(folder))
    # Models that other programs keep for whoever runs the tests are none of theirs.
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name in ("OLLAMA_MODELS", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "LLAMA_CACHE", "JAN_DATA_FOLDER"):
        monkeypatch.delenv(name, raising=False)
    # Nor are those of a service.
    monkeypatch.setattr(Surroundings, "here", lambda: Surroundings(Path.home(), os.environ, sys.platform, tmp_path / "root"))
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to anything but this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not ipaddress.ip_address(address[0]).is_loopback:
            raise AssertionError(f"A test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def ember_path() -> Path:
    return EMBER / "ember.gguf"


@pytest.fixture(scope="session")
def ember_projector_path() -> Path:
    return EMBER / "mmproj-ember.gguf"
