"""What a model thought before it answered, folded away."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from app.gui.chat.markdown_view import MarkdownView
from app.gui.icons import IconRole, icon
from app.gui.theme import Theme

__all__ = ["ReasoningView"]


class ReasoningView(QWidget):
    """Closed at first; a growing thought is drawn only while it is open."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text: list[str] = []
        self._drawn = 0
        self._finished = False
        self._button = QToolButton(self)
        self._button.setObjectName("fold")
        self._button.setCheckable(True)
        self._button.setProperty("kind", "quiet")
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.toggled.connect(self._fold)
        self._body = QFrame(self)
        self._body.setObjectName("reasoning")
        self.markdown = MarkdownView(muted=True)
        inner = QVBoxLayout(self._body)
        inner.setContentsMargins(Theme.PAD, 0, 0, 0)
        inner.addWidget(self.markdown)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, Theme.TIGHT)
        column.setSpacing(Theme.TIGHT)
        head = QHBoxLayout()
        head.addWidget(self._button)
        head.addStretch()
        column.addLayout(head)
        column.addWidget(self._body)
        self._say(self.tr("Thinking…"))
        self._fold(False)

    def show_text(self, text: str) -> None:
        self._text, self._drawn = [text], 0
        self.finish()

    def feed(self, text: str) -> None:
        self._text.append(text)
        if self._button.isChecked():
            self._draw()

    def finish(self) -> None:
        """The thought is complete."""
        self._finished = True
        self._say(self.tr("Thoughts"))
        if self._button.isChecked():
            self._draw()

    def _say(self, words: str) -> None:
        self._button.setText(words)
        self._button.setAccessibleName(self.tr("Show or hide the model's thoughts"))

    def _fold(self, opened: bool) -> None:
        self._button.setIcon(icon("chevron-down" if opened else "chevron-right", role=IconRole.MUTED))
        if opened:
            self._draw()
        self._body.setVisible(opened)

    def _draw(self) -> None:
        for part in self._text[self._drawn :]:
            self.markdown.feed(part)
        self._drawn = len(self._text)
        if self._finished:
            self.markdown.finish()
