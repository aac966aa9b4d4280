"""The access token for the hub: whether there is one, where it is kept, and entering another."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.domain.hub import HubToken, TokenSource
from app.gui.bridge import Bridge, Task
from app.gui.controls import button, label
from app.gui.errors import sentence
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["TokenField"]

_OURS = (TokenSource.KEYRING, TokenSource.FILE)


class TokenField(QWidget):
    """What is typed leaves the field as soon as it is kept; a token is never shown. `saved` says that one was kept."""

    saved = Signal()

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._access = services.hub_access
        self._bridge = bridge
        self.edit = QLineEdit(placeholderText="hf_…")
        self.edit.setEchoMode(QLineEdit.EchoMode.Password)
        self.edit.setAccessibleName(self.tr("Access token for the hub"))
        self.save_button = button(self.tr("Save"), name=self.tr("Save the access token"))
        self.forget_button = button(self.tr("Remove"), kind="danger", name=self.tr("Remove the access token"))
        self._state = label(role="caption", wrap=True)
        self._error = label(role="error", wrap=True)
        self._error.hide()
        self.save_button.setEnabled(False)
        self.forget_button.hide()
        self._lay_out()
        self.edit.textChanged.connect(self._look)
        self.edit.returnPressed.connect(self._save)
        self.save_button.clicked.connect(self._save)
        self.forget_button.clicked.connect(self._forget)
        bridge.watch(self._access.token_changed, lambda _: self._ask())
        bridge.watch(services.settings.changed, lambda _: self._ask())

    def _lay_out(self) -> None:
        title = label(self.tr("Access token"))
        title.setBuddy(self.edit)
        row = QHBoxLayout()
        row.addWidget(self.edit, 1)
        row.addWidget(self.save_button)
        row.addWidget(self.forget_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.TIGHT)
        column.addWidget(title)
        column.addLayout(row)
        column.addWidget(self._state)
        column.addWidget(self._error)

    @property
    def state_text(self) -> str:
        return self._state.text()

    @property
    def error(self) -> str:
        return "" if self._error.isHidden() else self._error.text()

    def showEvent(self, event: QShowEvent) -> None:
        """Not before it is seen: a keyring may have to be unlocked for it."""
        super().showEvent(event)
        self._ask()

    def _ask(self) -> None:
        if self.isVisible():
            task = self._bridge.submit(self._access.token(), self)
            task.succeeded.connect(self._show)
            task.failed.connect(self._fail)
            task.start()

    def _show(self, token: HubToken | None) -> None:
        self.forget_button.setVisible(token is not None and token.source in _OURS)
        self._state.setText(self._words(token))

    def _words(self, token: HubToken | None) -> str:
        match token.source if token is not None else None:
            case None:
                return self.tr("None. Only gated and private models need one. It is sent to this hub and to nobody else.")
            case TokenSource.KEYRING:
                return self.tr("One is kept in the system's keyring. It is sent to this hub and to nobody else.")
            case TokenSource.FILE:
                return self.tr("One is kept in a file that only you may read. It is sent to this hub and to nobody else.")
            case TokenSource.ENVIRONMENT:
                return self.tr("The one in the environment variable HF_TOKEN is used. One that is entered here wins over it.")
            case TokenSource.HUGGING_FACE:
                return self.tr("The one that Hugging Face's own tools keep is used. One that is entered here wins over it.")
            case TokenSource.GIVEN:
                return self.tr("One was given at the start.")

    def _look(self, text: str) -> None:
        self.save_button.setEnabled(bool(text.strip()))
        self._error.hide()

    def _save(self) -> None:
        if self.edit.text().strip():
            task = self._bridge.submit(self._access.set_token(self.edit.text()), self)
            task.succeeded.connect(lambda _: self._kept())
            self._start(task)

    def _kept(self) -> None:
        self.edit.clear()
        self.saved.emit()

    def _forget(self) -> None:
        self._start(self._bridge.submit(self._access.forget_token(), self))
        # It is about to vanish, and the keyboard with it.
        self.edit.setFocus()

    def _start(self, task: Task) -> None:
        task.failed.connect(self._fail)
        task.start()

    def _fail(self, error: Exception) -> None:
        self._error.setText(sentence(error))
        self._error.show()
