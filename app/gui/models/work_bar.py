"""Something that takes its time: what it is, how far it is, and how to stop it."""

from __future__ import annotations

from collections import deque

from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QWidget

from app.gui.bridge import Task
from app.gui.controls import button, label
from app.gui.theme import Theme

__all__ = ["WorkBar"]

_STEPS = 1000


class WorkBar(QFrame):
    """Runs one task after the other; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._task: Task | None = None
        self._waiting: deque[tuple[Task, str]] = deque()
        self.setProperty("role", "notice")
        self._words = label()
        self._bar = QProgressBar(textVisible=False, maximum=_STEPS)
        self._bar.setAccessibleName(self.tr("Progress"))
        cancel = button(self.tr("Cancel"), kind="quiet")
        cancel.clicked.connect(self._cancel)
        row = QHBoxLayout(self)
        row.setContentsMargins(Theme.PAD, Theme.TIGHT, Theme.TIGHT, Theme.TIGHT)
        row.setSpacing(Theme.PAD)
        row.addWidget(self._words)
        row.addWidget(self._bar, 1)
        row.addWidget(cancel)
        self.hide()

    def run(self, task: Task, words: str) -> None:
        """Start a task, after those that were given before; `words` say what it does."""
        self._waiting.append((task, words))
        if self._task is None:
            self._next()

    def show_progress(self, done: int, total: int) -> None:
        self._bar.setValue(round(_STEPS * done / total) if total else 0)

    def _next(self) -> None:
        self._task = None
        self.hide()
        if not self._waiting:
            return
        self._task, words = self._waiting.popleft()
        self._words.setText(words)
        self._bar.setAccessibleName(words)
        self._bar.setValue(0)
        self.show()
        for ended in (self._task.succeeded, self._task.failed, self._task.cancelled):
            ended.connect(lambda *_: self._next())
        self._task.start()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
