"""The real program in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Program", "hearth", "interruptible", "run_hearth"]


@dataclass
class Program:
    """A running `hearth`, past its ready line. `address` ends in /v1."""

    process: subprocess.Popen[str]
    address: str
    said: str

    def children(self) -> list[int]:
        """Process ids of its workers."""
        task = Path(f"/proc/{self.process.pid}/task")
        return [int(pid) for thread in task.iterdir() for pid in (thread / "children").read_text().split()]


def environment() -> dict[str, str]:
    """As a person without a display has it."""
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def run_hearth(*arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as from a shell in `cwd`."""
    command = [sys.executable, "-m", "app", *arguments]
    env = (env or environment()) | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env, cwd=cwd)


@contextmanager
def interruptible(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A process that heeds SIGINT, also where the tests run in the background and ignore it; killed at the end."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def hearth(*arguments: str, **variables: str) -> Iterator[Program]:
    """Start the program, with `variables` in its environment, and wait until it listens."""
    command = [sys.executable, "-m", "app", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment() | variables
    )
    with process:
        try:
            said = ""
            assert process.stdout is not None
            for line in process.stdout:
                said += line
                if match := re.search(r"^Hearth is listening on (http://\S+/v1)$", line):
                    yield Program(process, match[1], said)
                    break
            else:
                assert process.stderr is not None
                raise AssertionError(f"hearth ended early: {process.stderr.read()}")
        finally:
            process.kill()
