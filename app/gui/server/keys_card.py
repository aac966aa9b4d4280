"""The keys of the server: whether they are asked for, which there are, and making one."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from PySide6.QtCore import QDateTime, QLocale
from PySide6.QtGui import QFontDatabase, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.gui.bridge import Bridge, Task
from app.gui.controls import Card, CopyButton, Switch, button, label, tool_button
from app.gui.desktop import Desktop
from app.gui.errors import sentence
from app.gui.server.rows import Row, RowList
from app.gui.theme import Theme
from app.service.api_keys import ApiKey
from app.service.services import Services
from app.settings import Settings

__all__ = ["KeysCard"]


class KeysCard(Card):
    """A new key is shown until it is put away, and never again."""

    def __init__(self, services: Services, bridge: Bridge, desktop: Desktop, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._desktop = desktop
        self._keys: tuple[ApiKey, ...] = ()
        self._settings = Settings()
        self.switch = Switch(self.tr("Ask programs on this computer for a key"))
        self.rows = RowList()
        self.name = QLineEdit(placeholderText=self.tr("What it is for, such as Obsidian"))
        self.create_button = button(self.tr("Create a key"), "plus")
        self.error = label(role="error", wrap=True)
        self.new_key = QLineEdit(readOnly=True)
        self.copy_button = CopyButton(self.new_key.text, self.tr("Copy the new key"))
        self.done_button = tool_button("close", self.tr("Put the new key away"))
        self._notice = self._make_notice()
        self._lay_out()
        self._connect()
        self._show_rows()

    def _make_notice(self) -> QFrame:
        notice = QFrame()
        notice.setProperty("role", "notice")
        self.new_key.setAccessibleName(self.tr("The new key"))
        self.new_key.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        column, line = QVBoxLayout(notice), QHBoxLayout()
        column.setContentsMargins(Theme.PAD, Theme.GAP, Theme.PAD, Theme.GAP)
        told = self.tr("Copy the new key now: it is shown this once. Programs take it where they ask for an API key.")
        column.addWidget(label(told, wrap=True))
        line.addWidget(self.new_key, 1)
        line.addWidget(self.copy_button)
        line.addWidget(self.done_button)
        column.addLayout(line)
        notice.hide()
        return notice

    def _lay_out(self) -> None:
        top, bottom = QHBoxLayout(), QHBoxLayout()
        top.addWidget(label(self.tr("API keys"), "heading"), 1)
        top.addWidget(label(self.tr("Ask programs on this computer for a key"), "muted"))
        top.addWidget(self.switch)
        self.body.addLayout(top)
        hint = self.tr("Without keys every program on this computer may use the server. Other computers always need one.")
        self.body.addWidget(label(hint, "caption", wrap=True))
        self.body.addWidget(self.rows)
        self.body.addWidget(self._notice)
        self.name.setAccessibleName(self.tr("Name of a new key"))
        bottom.addWidget(self.name, 1)
        bottom.addWidget(self.create_button)
        self.body.addLayout(bottom)
        self.error.hide()
        self.body.addWidget(self.error)

    def _connect(self) -> None:
        self.switch.clicked.connect(self._require)
        self.name.returnPressed.connect(self._create)
        self.create_button.clicked.connect(self._create)
        self.done_button.clicked.connect(self._put_away)
        self._bridge.watch(self._services.api_keys.changed, self.show_keys)

    def showEvent(self, event: QShowEvent) -> None:
        """Keys are made by the command line too, and used all the time."""
        super().showEvent(event)
        task = self._bridge.call(self._services.api_keys.listed, self)
        task.succeeded.connect(self.show_keys)
        task.start()

    def show_keys(self, keys: tuple[ApiKey, ...]) -> None:
        self._keys = keys
        self._show_rows()

    def show_settings(self, settings: Settings) -> None:
        self._settings = settings
        self._show_rows()

    def _show_rows(self) -> None:
        rows = [
            Row(
                key.name,
                self._times(key),
                self.tr("Revoke"),
                self.tr("Revoke the key {0}").format(key.name),
                partial(self._revoke, key.name),
            )
            for key in self._keys
        ]
        if self._settings.api_key:
            name = self.tr("The key of the settings")
            rows.append(Row(name, "", self.tr("Remove"), self.tr("Remove the key of the settings"), self._remove_old_key))
        self.rows.show_rows(rows)
        asked = self._settings.require_api_key or bool(self._settings.api_key)
        self.switch.setChecked(asked)
        # With no key to show, nobody could use the server any more.
        self.switch.setEnabled(not self._settings.api_key and (asked or bool(self._keys)))

    def _times(self, key: ApiKey) -> str:
        used = self.tr("last used {0}").format(_moment(key.last_used)) if key.last_used else self.tr("never used")
        return self.tr("created {0}, {1}").format(_moment(key.created), used)

    # What a person does

    def _require(self, on: bool) -> None:
        self._run(self._bridge.call(lambda: self._services.settings.update(require_api_key=on), self))

    def _create(self) -> None:
        name = self.name.text()
        task = self._bridge.call(lambda: self._services.api_keys.create(name), self)
        task.succeeded.connect(self._show_new)
        self._run(task)

    def _show_new(self, key: str) -> None:
        self.name.clear()
        self.new_key.setText(key)
        self.new_key.setCursorPosition(0)
        self._notice.show()
        self.copy_button.setFocus()

    def _put_away(self) -> None:
        self._notice.hide()
        self.new_key.clear()

    def _revoke(self, name: str) -> None:
        sure = self._desktop.confirm(
            self,
            title=self.tr("Revoke a key"),
            text=self.tr("Revoke the key “{0}”?").format(name),
            details=self.tr("Programs that use it are refused from now on."),
            action=self.tr("Revoke"),
        )
        if sure:
            self._run(self._bridge.call(lambda: self._services.api_keys.revoke(name), self))

    def _remove_old_key(self) -> None:
        self._run(self._bridge.call(lambda: self._services.settings.update(api_key=""), self))

    def _run(self, task: Task) -> None:
        self.error.hide()
        task.failed.connect(self._fail)
        task.start()

    def _fail(self, error: Exception) -> None:
        self.error.setText(sentence(error))
        self.error.show()
        self._show_rows()


def _moment(moment: datetime) -> str:
    return QLocale().toString(QDateTime.fromSecsSinceEpoch(int(moment.timestamp())), QLocale.FormatType.ShortFormat)
