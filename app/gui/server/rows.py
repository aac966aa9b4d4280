"""A short list of things, each with a button."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.gui.controls import ElidedLabel, button, label
from app.gui.theme import Theme

__all__ = ["Row", "RowList"]


@dataclass(frozen=True, slots=True)
class Row:
    """`action` is what the button says, `name` what a screen reader says of it."""

    text: str
    detail: str
    action: str
    name: str
    act: Callable[[], None]
    kind: str = ""


class RowList(QWidget):
    """Hidden while it is empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: list[QPushButton] = []
        self._rows: list[QWidget] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(Theme.TIGHT)
        self.hide()

    @property
    def texts(self) -> list[str]:
        return [row.findChildren(ElidedLabel)[0].full_text for row in self._rows]

    def show_rows(self, rows: Iterable[Row]) -> None:
        for old in self._rows:
            old.hide()
            old.deleteLater()
        self.buttons = []
        self._rows = [self._made(row) for row in rows]
        for made in self._rows:
            self._column.addWidget(made)
        self.setVisible(bool(self._rows))

    def _made(self, row: Row) -> QWidget:
        made = QWidget()
        line = QHBoxLayout(made)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(Theme.PAD)
        detail: QLabel = label(row.detail, "caption")
        act = button(row.action, kind=row.kind, name=row.name)
        act.clicked.connect(lambda: row.act())
        line.addWidget(ElidedLabel(row.text), 1)
        line.addWidget(detail)
        line.addWidget(act)
        self.buttons.append(act)
        return made
