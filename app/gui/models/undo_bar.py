"""Models were removed: what that frees, and how to undo it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from app.domain.models import Removal
from app.gui.controls import button, label, tool_button
from app.gui.figures import size_text
from app.gui.theme import Theme

__all__ = ["UndoBar"]


class UndoBar(QFrame):
    """Stays for as long as something can be brought back, unless it is closed; the last that went comes first.

    `undo_asked` carries the id of the removal.
    """

    undo_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "notice")
        self.setAccessibleName(self.tr("Removed"))
        self._removals: tuple[Removal, ...] = ()
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
        self.hide()

    @property
    def text(self) -> str:
        return self._words.text()

    def show_removals(self, removals: tuple[Removal, ...]) -> None:
        """Offer these; what was closed stays so until others can be brought back."""
        if removals == self._removals:
            return
        self._removals = removals
        self.setVisible(bool(removals))
        if not removals:
            return
        names = ", ".join(removal.model.name for removal in removals)
        text = self.tr("Removed: {0}.").format(names)
        freed = sum(removal.freed_bytes for removal in self._removals)
        if freed:
            text = f"{text} {self.tr('{0} are freed when Hearth closes.').format(size_text(freed))}"
        self._words.setText(text)

    def _undo(self) -> None:
        last = self._removals[-1]
        # Not twice. What can't be brought back is offered again.
        self.show_removals(self._removals[:-1])
        self.undo_asked.emit(last.id)
