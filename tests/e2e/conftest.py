"""The whole program in this process: window, services, server on a free port, and real workers with Ember."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.bootstrap import Running, running
from app.chats import StoredMessage
from app.gui.application import Shell
from app.gui.chat.page import ChatPage
from app.gui.desktop import Desktop
from app.options import Options

WAIT_MS = 30_000


@dataclass(frozen=True)
class Hearth:
    """The running program as a person (`chat`, `ask`) and as another program (`post`) sees it."""

    program: Running
    shell: Shell
    qtbot: QtBot

    @property
    def chat(self) -> ChatPage:
        return self.shell.window.chat

    @property
    def address(self) -> str:
        return str(self.program.services.server.state.address)

    @property
    def worker(self) -> int:
        """The process id of Ember's worker."""
        (loaded,) = self.program.services.models.loaded
        assert loaded.pid is not None
        return loaded.pid

    @property
    def active_requests(self) -> int:
        """How many answers Ember is working on."""
        return self.program.services.models.state("ember").active_requests

    @property
    def is_answering(self) -> bool:
        answer = self.chat.transcript.last_answer
        return answer is not None and answer.is_growing

    def ask(self, question: str, picture: bytes | None = None) -> StoredMessage:
        """Send a message and wait for the answer as it is kept."""
        if picture is not None:
            self.chat.composer.attach_image(picture)
        self.chat.composer.set_text(question)
        with self.qtbot.waitSignal(self.chat.answer_finished, timeout=WAIT_MS) as finished:
            self.chat.composer.send()
        answer: StoredMessage = finished.args[0].messages[-1]
        return answer

    def post(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """A request from another program; the window goes on meanwhile."""
        request = urllib.request.Request(f"{self.address}{path}", json.dumps(body).encode())
        return self._send(request)

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        return self._send(urllib.request.Request(f"{self.address}{path}"))

    def _send(self, request: urllib.request.Request) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    @contextmanager
    def frozen_worker(self) -> Iterator[int]:
        """Hold Ember still, so that what happens to an answer in the middle happens surely."""
        worker = self.worker
        os.kill(worker, signal.SIGSTOP)
        try:
            yield worker
        finally:
            if Path(f"/proc/{worker}").exists():
                os.kill(worker, signal.SIGCONT)


@pytest.fixture
def start(qapp: QApplication, qtbot: QtBot, profile: Path) -> Callable[[], Any]:
    """Start the program on this test's profile: a context manager, so that a test can close it and open it again."""

    @contextmanager
    def open_hearth() -> Iterator[Hearth]:
        with running(Options(profile=profile, overrides={"port": 0})) as program:
            shell = Shell(program.services, program.loop, desktop=Desktop())
            try:
                shell.start(hidden=False)
                qtbot.waitUntil(lambda: program.services.server.state.running, timeout=WAIT_MS)
                yield Hearth(program, shell, qtbot)
            finally:
                shell.close()

    return open_hearth


@pytest.fixture
def hearth(start: Callable[[], Any]) -> Iterator[Hearth]:
    with start() as opened:
        yield opened


@pytest.fixture(scope="session")
def red_circle(ember_path: Path) -> bytes:
    return (ember_path.parents[1] / "examples" / "red-circle.png").read_bytes()
