"""What the window asks of a person and of their desktop, in one place so that tests can answer instead."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from PySide6.QtCore import QProcess, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QMessageBox, QPushButton, QWidget

__all__ = ["Desktop", "file_name"]

_UNSAFE: Final = re.compile(r'[\\/:*?"<>|\x00-\x1f]+')


def file_name(text: str) -> str:
    """What of `text` every file system takes; "" if nothing is left."""
    return " ".join(_UNSAFE.sub(" ", text).split()).strip(".")


class Desktop:
    """Dialogs and the file manager. Used on the Qt thread; the dialogs wait for an answer."""

    def confirm(self, parent: QWidget, *, title: str, text: str, details: str, action: str) -> bool:
        """Ask before something that can't be undone; the safe answer is the default."""
        box = _box(QMessageBox.Icon.Question, parent, title, text, details)
        yes: QPushButton = box.addButton(action, QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
        box.exec()
        return box.clickedButton() is yes

    def choose(self, parent: QWidget, *, title: str, text: str, details: str, actions: tuple[str, ...]) -> int | None:
        """Ask which of `actions` to take, the first being the default; None if the person backs out."""
        box = _box(QMessageBox.Icon.Question, parent, title, text, details)
        buttons = [box.addButton(action, QMessageBox.ButtonRole.AcceptRole) for action in actions]
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(buttons[0])
        box.exec()
        clicked = box.clickedButton()
        return next((index for index, one in enumerate(buttons) if one is clicked), None)

    def tell(self, parent: QWidget | None, *, title: str, text: str) -> None:
        """Say something that must not be overlooked."""
        _box(QMessageBox.Icon.Information, parent, title, text).exec()

    def model_file(self, parent: QWidget, *, title: str, kind: str) -> Path | None:
        """Ask for a GGUF file."""
        name, _ = QFileDialog.getOpenFileName(parent, title, str(Path.home()), f"{kind} (*.gguf)")
        return Path(name) if name else None

    def conversation_files(self, parent: QWidget, *, title: str, kind: str) -> tuple[Path, ...]:
        """Ask for files that conversations may be in; none if the person backs out."""
        names, _ = QFileDialog.getOpenFileNames(parent, title, str(Path.home()), f"{kind} (*.json *.zip)")
        return tuple(map(Path, names))

    def settings_file(self, parent: QWidget, *, title: str, kind: str) -> Path | None:
        """Ask for a file of settings."""
        name, _ = QFileDialog.getOpenFileName(parent, title, str(Path.home()), f"{kind} (*.json)")
        return Path(name) if name else None

    def any_file(self, parent: QWidget, *, title: str) -> Path | None:
        name, _ = QFileDialog.getOpenFileName(parent, title, str(Path.home()))
        return Path(name) if name else None

    def new_file(self, parent: QWidget, *, title: str, name: str, kind: str) -> Path | None:
        """Ask where to save something that would be called `name`; an existing file is asked about."""
        start = str(Path.home() / name)
        chosen, _ = QFileDialog.getSaveFileName(parent, title, start, f"{kind} (*{Path(name).suffix})")
        return Path(chosen) if chosen else None

    def folder(self, parent: QWidget, *, title: str) -> Path | None:
        name = QFileDialog.getExistingDirectory(parent, title, str(Path.home()))
        return Path(name) if name else None

    def reveal(self, path: Path) -> None:
        """Show a file in the file manager: selected where the system can do that, else its folder."""
        if sys.platform == "win32":
            QProcess.startDetached("explorer", ["/select,", str(path)])
        elif sys.platform == "darwin":
            QProcess.startDetached("open", ["-R", str(path)])
        else:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path if path.is_dir() else path.parent)))

    def open_page(self, address: str) -> None:
        """Show a web page in the browser."""
        QDesktopServices.openUrl(QUrl(address))

    def open_folder(self, path: Path) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


def _box(icon: QMessageBox.Icon, parent: QWidget | None, title: str, text: str, details: str = "") -> QMessageBox:
    """Plain text always: names and errors come from elsewhere."""
    box = QMessageBox(icon, title, text, parent=parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setInformativeText(details)
    return box
