"""A model was removed: what that frees, and how to undo it."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from app.domain.models import Removal
from app.gui.controls import button, label, tool_button
from app.gui.figures import size_text
from app.gui.theme import Theme

__all__ = ["UndoBar"]

_SHOWN_MS = 30_000


class UndoBar(QFrame):
    """Goes away by itself after a while. `undo_asked` carries the id of the removal."""

    undo_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "notice")
        self.setAccessibleName(self.tr("Removed"))
        self._removal_id = ""
        self._words = label(wrap=True)
        self.undo_button = button(self.tr("Undo"), kind="quiet", name=self.tr("Bring the model back"))
        self.undo_button.clicked.connect(self._undo)
        close = tool_button("close", self.tr("Hide this"))
        close.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(Theme.PAD, Theme.TIGHT, Theme.TIGHT, Theme.TIGHT)
        row.addWidget(self._words, 1)
        row.addWidget(self.undo_button, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignVCenter)
        self._timer = QTimer(self, singleShot=True, interval=_SHOWN_MS)
        self._timer.timeout.connect(self.hide)
        self.hide()

    @property
    def text(self) -> str:
        return self._words.text()

    def offer(self, removal: Removal) -> None:
        self._removal_id = removal.id
        text = self.tr("{0} was removed.").format(removal.model.name)
        if removal.freed_bytes:
            freed = self.tr("{0} are freed when Hearth closes.").format(size_text(removal.freed_bytes))
            text = f"{text} {freed}"
        self._words.setText(text)
        self.show()
        self._timer.start()

    def _undo(self) -> None:
        self.hide()
        self.undo_asked.emit(self._removal_id)
