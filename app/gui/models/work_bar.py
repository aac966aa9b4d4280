"""Something that takes its time: what it is, how far it is, and how to stop it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QWidget

from app.gui.controls import button, label
from app.gui.theme import Theme

__all__ = ["WorkBar"]

_STEPS = 1000


class WorkBar(QFrame):
    """Hidden while nothing is going on."""

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "notice")
        self._words = label()
        self._bar = QProgressBar(textVisible=False, maximum=_STEPS)
        self._bar.setAccessibleName(self.tr("Progress"))
        cancel = button(self.tr("Cancel"), kind="quiet")
        cancel.clicked.connect(self.cancelled)
        row = QHBoxLayout(self)
        row.setContentsMargins(Theme.PAD, Theme.TIGHT, Theme.TIGHT, Theme.TIGHT)
        row.setSpacing(Theme.PAD)
        row.addWidget(self._words)
        row.addWidget(self._bar, 1)
        row.addWidget(cancel)
        self.hide()

    def begin(self, words: str) -> None:
        self._words.setText(words)
        self._bar.setAccessibleName(words)
        self._bar.setValue(0)
        self.show()

    def show_progress(self, done: int, total: int) -> None:
        self._bar.setValue(round(_STEPS * done / total) if total else 0)

    def end(self) -> None:
        self.hide()
