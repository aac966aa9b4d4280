"""The icon in the system tray: the state at a glance, and the way back to the window."""

from __future__ import annotations

from pathlib import PurePosixPath

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from app.domain.models import DownloadProgress, DownloadState
from app.gui.icons import TrayState, tray_icon
from app.gui.status import Status

__all__ = ["Tray"]


class Tray(QObject):
    """Shows a `Status` and says what a person asked for. On a desktop that gets a tray later, the icon appears then."""

    show_asked = Signal()
    server_asked = Signal(bool)
    downloads_asked = Signal()
    quit_asked = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.menu = QMenu()
        self.show_action = self.menu.addAction(self.tr("Show window"))
        self.server_action = self.menu.addAction(self.tr("Server on"))
        self.server_action.setCheckable(True)
        self.download_action = self.menu.addAction("")
        self.download_action.setVisible(False)
        self.menu.addSeparator()
        self.quit_action = self.menu.addAction(self.tr("Quit"))
        self.show_action.triggered.connect(lambda: self.show_asked.emit())
        self.server_action.triggered.connect(self.server_asked)
        self.download_action.triggered.connect(lambda: self.downloads_asked.emit())
        self.quit_action.triggered.connect(lambda: self.quit_asked.emit())
        # Some trays show nothing, and complain, if an icon is made visible before it has a picture.
        self.icon = QSystemTrayIcon(tray_icon(TrayState.STOPPED), self)
        self.icon.setContextMenu(self.menu)
        self.icon.activated.connect(self._activated)
        self.icon.messageClicked.connect(self.downloads_asked)
        self._state = TrayState.STOPPED
        self._told = ""

    @property
    def available(self) -> bool:
        """Whether there is a tray now, so that a hidden window can be found again."""
        return QSystemTrayIcon.isSystemTrayAvailable()

    @property
    def state(self) -> TrayState:
        return self._state

    def show(self) -> None:
        # The platform without a screen has no tray, and Qt complains there.
        if QGuiApplication.platformName() != "offscreen":
            self.icon.show()

    def hide(self) -> None:
        self.icon.hide()

    def close(self) -> None:
        """Take the icon away for good."""
        self.icon.hide()
        # It can't have a parent that is no widget, and Python must not delete it later, on whatever thread that is.
        self.menu.deleteLater()
        self.deleteLater()

    def show_status(self, status: Status) -> None:
        if status.tray is not self._state:
            self._state = status.tray
            self.icon.setIcon(tray_icon(status.tray))
        words = ("Hearth", status.server_text, status.model_text, status.downloads.text)
        told = "\n".join(word for word in words if word)
        if told != self._told:
            self._told = told
            self.icon.setToolTip(told)
            self.download_action.setText(status.downloads.text)
            self.download_action.setVisible(bool(status.downloads.text))
        self.server_action.setChecked(status.server.running)

    def tell_of_end(self, progress: DownloadProgress) -> None:
        """A notification of the desktop's, where it has them."""
        done = progress.state is DownloadState.DONE
        name = PurePosixPath(progress.label).stem
        title = (self.tr("{0} is downloaded") if done else self.tr("{0} could not be downloaded")).format(name)
        text = self.tr("It is in your list of models.") if done else progress.error or ""
        kind = QSystemTrayIcon.MessageIcon.Information if done else QSystemTrayIcon.MessageIcon.Warning
        if self.icon.isVisible():
            self.icon.showMessage(title, text, kind)

    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason in (QSystemTrayIcon.ActivationReason.Trigger, QSystemTrayIcon.ActivationReason.DoubleClick):
            self.show_asked.emit()
