"""Uses the real window and the real server once, as a person and a program would, and tells what came of it."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtGui import QGuiApplication

from app.chats import ChatStore, MessageState
from app.domain.messages import Role
from app.gui.application import Shell, make_application
from app.gui.desktop import Desktop
from app.gui.errors import sentence
from app.paths import resource
from app.service.conversations import OpenConversation
from app.service.loop import ServiceLoop
from app.service.services import Services

__all__ = ["Report", "Step", "examine"]

_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried."""

    name: str
    passed: bool
    detail: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Report:
    steps: tuple[Step, ...]

    @property
    def passed(self) -> bool:
        return all(step.passed for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        return {"passed": self.passed, "steps": [asdict(step) for step in self.steps]}


class StepFailed(Exception):
    """What a step found wrong, as a sentence."""


def examine(services: Services, service: ServiceLoop) -> Report:
    """Try everything, on the Qt thread. `services` are those of a throw-away profile whose server picks a free port."""
    make_application()
    shell = Shell(services, service, desktop=Desktop())
    try:
        examination = _Examination(services, service, shell)
        return Report(tuple(_try(name, step) for name, step in examination.steps()))
    finally:
        shell.close()


def _try(name: str, step: Callable[[], str]) -> Step:
    begun = time.monotonic()
    try:
        passed, detail = True, step()
    except StepFailed as failure:
        passed, detail = False, str(failure)
    except Exception as error:  # noqa: BLE001 - the edge: whatever is wrong with this machine belongs into the report
        passed, detail = False, f"{type(error).__name__}: {sentence(error)}"
    return Step(name, passed, detail, round(time.monotonic() - begun, 3))


class _Examination:
    """The steps, in their order; later ones use what earlier ones opened."""

    def __init__(self, services: Services, service: ServiceLoop, shell: Shell) -> None:
        self._services = services
        self._service = service
        self._shell = shell
        self._chat = shell.window.chat
        self._answers: list[str] = []
        self._problems: list[str] = []
        self._chat.answer_finished.connect(lambda opened: self._answers.append(_last_answer(opened)))
        self._chat.answer_failed.connect(lambda error: self._problems.append(sentence(error)))

    def steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        return (
            ("window", self._window),
            ("text question in the window", self._text_question),
            ("picture question in the window", self._picture_question),
            ("worker", self._worker),
            ("text question over HTTP", self._http_question),
            ("database", self._database),
            ("unload", self._unload),
        )

    def _window(self) -> str:
        server = self._services.server
        _wait(lambda: self._shell.start(hidden=False), until=lambda: server.state.running or bool(server.state.error))
        picture = self._shell.window.grab()
        _check(not picture.isNull() and self._shell.window.isVisible(), "The window did not appear.")
        return f"{picture.width()} x {picture.height()} on {QGuiApplication.platformName()}"

    def _text_question(self) -> str:
        answer = self._ask("Hello")
        _check(len(answer) > 2, f"Ember answered {answer!r}.")
        return answer

    def _picture_question(self) -> str:
        self._chat.composer.attach_image(resource("examples", "red-circle.png").read_bytes())
        answer = self._ask("What is in this picture?")
        _check("red" in answer and "circle" in answer, f"A red circle was described as {answer!r}.")
        return answer

    def _worker(self) -> str:
        (loaded,) = self._services.models.loaded
        return f"{loaded.id}, process {loaded.pid}" if loaded.pid else f"{loaded.id}, on a thread"

    def _http_question(self) -> str:
        address = self._services.server.state.address
        _check(address is not None, f"The server does not run: {self._services.server.state.error}")
        return f"{self._run(asyncio.to_thread(_ask_over_http, str(address)))} ({address})"

    def _database(self) -> str:
        file = self._services.paths.data / "selftest.sqlite3"
        with ChatStore(file) as store:
            conversation = store.create(title="Self-test")
            store.append(conversation.id, parent_id=None, role=Role.USER, text="kept")
        with ChatStore(file) as store:
            (message,) = store.messages(conversation.id)
        _check(message.text == "kept" and message.state is MessageState.COMPLETE, "A stored message came back changed.")
        return f"made, migrated and read again ({file.stat().st_size} bytes)"

    def _unload(self) -> str:
        for loaded in self._services.models.loaded:
            self._run(self._services.models.unload(loaded.id))
        _check(not self._services.models.loaded, "A model stayed in memory.")
        return "nothing is left in memory"

    def _ask(self, question: str) -> str:
        """Type a question and press Send, as a person would."""
        self._answers.clear()
        self._problems.clear()
        self._chat.composer.set_text(question)
        _wait(self._chat.composer.send, until=lambda: bool(self._answers or self._problems))
        _check(not self._problems, "".join(self._problems[:1]))
        return self._answers[-1]

    def _run(self, coroutine: Any) -> Any:
        """Run a coroutine on the service loop while the window goes on."""
        future = self._service.submit(coroutine)
        _wait(lambda: None, until=future.done)
        return future.result(timeout=0)


def _last_answer(opened: OpenConversation) -> str:
    return opened.messages[-1].text


def _ask_over_http(address: str) -> str:
    body = {"model": "ember", "temperature": 0, "messages": [{"role": "user", "content": "Hello"}]}
    request = urllib.request.Request(f"{address}/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
        answer: str = json.load(response)["choices"][0]["message"]["content"]
    return answer


def _wait(start: Callable[[], object], *, until: Callable[[], bool]) -> None:
    """Start something and let Qt go on until it is done, or for so long that it won't be."""
    start()
    deadline = time.monotonic() + _TIMEOUT_S
    loop = QEventLoop()
    timer = QTimer()
    timer.timeout.connect(lambda: loop.quit() if until() or time.monotonic() > deadline else None)
    timer.start(10)
    if not until():
        loop.exec()
    _check(until(), f"Nothing came of it within {_TIMEOUT_S:.0f} seconds.")


def _check(fine: bool, otherwise: str) -> None:
    if not fine:
        raise StepFailed(otherwise)
