"""Opening a link that a model wrote: only to the web, and only after asking."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMessageBox, QWidget

from app.gui.chat.prose_writer import is_web_address

__all__ = ["ask_and_open"]


def ask_and_open(parent: QWidget, address: str) -> None:
    """Show where the link leads and open it in the browser if the person agrees."""
    if not is_web_address(address):
        return
    box = QMessageBox(parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(_tr("Open link"))
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(_tr("Open this page in your browser?"))
    box.setInformativeText(address)
    go = box.addButton(_tr("Open"), QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    go.clicked.connect(lambda: QDesktopServices.openUrl(QUrl(address)))
    box.open()


def _tr(text: str) -> str:
    return QCoreApplication.translate("links", text)
