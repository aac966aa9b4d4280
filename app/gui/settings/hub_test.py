"""Trying the connection to the hub."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app.domain.hub import HubState, HubTest
from app.gui.bridge import Bridge, Task
from app.gui.controls import button, label
from app.gui.errors import sentence
from app.gui.figures import duration_text
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["HubTestRow"]


class HubTestRow(QWidget):
    """A button, and what came of it."""

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._task: Task | None = None
        self.test_button = button(self.tr("Test connection"), "refresh", name=self.tr("Test the connection to the hub"))
        self._result = label(role="caption", wrap=True)
        self._result.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(Theme.PAD)
        row.addWidget(self.test_button)
        row.addWidget(self._result, 1)
        self.test_button.clicked.connect(self._test)

    @property
    def result(self) -> str:
        return self._result.text()

    def _test(self) -> None:
        if self._task is None:
            self._tell(self.tr("Asking…"), "caption")
            self._task = self._bridge.submit(self._services.hub.test(), self)
            self._task.succeeded.connect(self._found)
            self._task.failed.connect(lambda error: self._end(sentence(error), "error"))
            self._task.cancelled.connect(lambda: self._end("", "caption"))
            self._task.start()

    def _found(self, found: HubTest) -> None:
        if found.state is not HubState.OK:
            self._end(found.reason, "error")
            return
        words = [self.tr("{0} answers in {1}.").format(found.endpoint, duration_text(found.latency_s))]
        if found.proxy:
            words.append(self.tr("The proxy {0} is in between.").format(found.proxy))
        if found.user:
            words.append(self.tr("The access token is {0}'s.").format(found.user))
        elif found.token is None:
            words.append(self.tr("No access token is sent."))
        self._end(" ".join(words), "success")

    def _end(self, text: str, role: str) -> None:
        self._task = None
        self._tell(text, role)

    def _tell(self, text: str, role: str) -> None:
        self._result.setText(text)
        self._result.setProperty("role", role)
        self._result.style().polish(self._result)
