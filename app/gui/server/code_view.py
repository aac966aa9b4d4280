"""A piece of code to look at and copy."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QFontDatabase, QFontMetrics
from PySide6.QtWidgets import QGridLayout, QPlainTextEdit, QWidget

from app.gui.controls import CopyButton
from app.gui.theme import Theme

__all__ = ["CodeView"]


class CodeView(QWidget):
    """Read-only, as high as its code, with a button to copy all of it."""

    def __init__(self, name: str, copy_name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = QPlainTextEdit(readOnly=True)
        self.text.setAccessibleName(name)
        self.text.setProperty("role", "code")
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setTabChangesFocus(True)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(Theme.current().caption_pt + 0.4)
        font.setStyleHint(QFont.StyleHint.Monospace)
        self.text.setFont(font)
        self.copy_button = CopyButton(self.text.toPlainText, copy_name)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, Theme.GAP, 0, 0)
        corner = QWidget()
        inner = QGridLayout(corner)
        inner.setContentsMargins(Theme.TIGHT, Theme.TIGHT, Theme.TIGHT, Theme.TIGHT)
        inner.addWidget(self.copy_button)
        # Both in one cell: the button lies on the code's upper right corner.
        grid.addWidget(self.text, 0, 0)
        grid.addWidget(corner, 0, 0, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignRight)
        grid.setRowStretch(1, 1)

    def set_code(self, code: str) -> None:
        if code == self.text.toPlainText():
            return
        self.text.setPlainText(code.rstrip("\n"))
        lines = code.rstrip("\n").count("\n") + 1
        self.text.setFixedHeight(QFontMetrics(self.text.font()).lineSpacing() * lines + 2 * Theme.ROOM + Theme.GAP)
