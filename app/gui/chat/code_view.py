"""A block of code in the transcript: its language, a Copy button, and the code, which scrolls sideways."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QFontDatabase, QTextCursor, QWheelEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app.gui.chat.highlight import CodeHighlighter
from app.gui.chat.markdown import CodeBlock
from app.gui.controls import CopyButton, label
from app.gui.theme import Theme

__all__ = ["CodeView"]

_PADDING = 14  # above and below the code, together: what the style sheet says and a pixel or two of Qt


class CodeView(QFrame):
    """Code is only ever appended, so that a long answer stays quick to write."""

    def __init__(self, language: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("code")
        self._text = ""
        self._finished = False
        self.language = language
        copy = CopyButton(lambda: self._text, self.tr("Copy code"), small=True)
        name = label(language or self.tr("Text"), "caption")
        self._edit = _CodeEdit()
        self._edit.setAccessibleName(self.tr("Code"))
        self._highlighter = CodeHighlighter(self._edit.document(), language)

        head = QHBoxLayout()
        head.setContentsMargins(Theme.PAD, Theme.TIGHT, Theme.TIGHT, 0)
        head.addWidget(name)
        head.addStretch()
        head.addWidget(copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 1, 1, 1)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self._edit)
        self._edit.fit()

    @property
    def code(self) -> str:
        return self._text

    def show_code(self, block: CodeBlock) -> None:
        """Show a block that is the same as before, or longer."""
        if block.text.startswith(self._text):
            self._edit.append(block.text[len(self._text) :])
        else:
            self._edit.setPlainText(block.text)
        self._text = block.text
        if block.closed and not self._finished:
            self._finished = True
            self._highlighter.finish()
        self._edit.fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self._text:
            self._highlighter.recolour()


class _CodeEdit(QPlainTextEdit):
    """As tall as its lines."""

    def __init__(self) -> None:
        super().__init__()
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(Theme.current().body_pt * 0.92)
        self.setFont(font)
        self.setReadOnly(True)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().setDocumentMargin(0)
        self.horizontalScrollBar().rangeChanged.connect(self.fit)

    def append(self, text: str) -> None:
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text)

    def fit(self) -> None:
        bar = self.horizontalScrollBar()
        room = bar.sizeHint().height() if bar.maximum() > 0 else 0
        lines = self.blockCount() * self.fontMetrics().lineSpacing()
        self.setFixedHeight(lines + room + _PADDING)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if abs(event.angleDelta().x()) > abs(event.angleDelta().y()):
            super().wheelEvent(event)
        else:
            event.ignore()
