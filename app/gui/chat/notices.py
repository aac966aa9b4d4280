"""The lines around the composer: what went wrong, and which model this is."""

from __future__ import annotations

import html

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QWidget

from app.gui.controls import Mark, label, tool_button
from app.gui.icons import IconRole, icon
from app.gui.theme import Theme

__all__ = ["ModelLine", "ProblemLine"]


class ProblemLine(QFrame):
    """One problem that is not about a particular answer. Hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "problem")
        mark = Mark(icon("warning", role=IconRole.ERROR))
        self._words = label(wrap=True)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        close = tool_button("close", self.tr("Dismiss"))
        close.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(Theme.PAD, Theme.GAP, Theme.GAP, Theme.GAP)
        row.setSpacing(Theme.GAP)
        row.addWidget(mark, alignment=Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words, stretch=1)
        row.addWidget(close, alignment=Qt.AlignmentFlag.AlignTop)
        self.hide()

    @property
    def text(self) -> str:
        return self._words.text()

    def say(self, words: str) -> None:
        self._words.setText(words)
        self.setVisible(bool(words))


class ModelLine(QLabel):
    """Says, for as long as the built-in model answers, that it is one."""

    models_page_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "caption")
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        self.linkActivated.connect(lambda _: self.models_page_wanted.emit())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            # The colour of the link is part of the text Qt has made of it.
            text = self.text()
            self.clear()
            self.setText(text)

    def show_model(self, name: str) -> None:
        words = self.tr("You are talking to {0}, a tiny model for trying things out.").format(name)
        go = self.tr("Choose a larger one")
        self.setAccessibleName(f"{words} {go}")
        self.setText(f'{html.escape(words)} <a href="models">{html.escape(go)}</a>')
