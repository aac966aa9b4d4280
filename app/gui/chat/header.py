"""The line above the conversation: its title and the model that answers."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.gui.bridge import Bridge
from app.gui.chat.model_picker import ModelPicker
from app.gui.controls import ElidedLabel, line
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["ChatHeader"]


class ChatHeader(QWidget):
    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picker = ModelPicker(services, bridge)
        self._title = ElidedLabel(role="heading")
        row = QHBoxLayout()
        row.setContentsMargins(Theme.WIDE, Theme.GAP, Theme.PAD, Theme.GAP)
        row.addWidget(self._title, stretch=1)
        row.addWidget(self.picker)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(line())
        column.addWidget(self.picker.bar)

    def show_title(self, title: str) -> None:
        self._title.set_full_text(title or self.tr("Untitled chat"))
