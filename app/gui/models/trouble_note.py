"""Folders and stores of other programs that can't be read, and what to do about it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from app.gui.bridge import Bridge
from app.gui.controls import label
from app.gui.figures import source_text
from app.gui.tooltips import plain_tooltip
from app.library.stores import StoreTrouble
from app.service.services import Services

__all__ = ["TroubleNote"]

_MOST = 2


class TroubleNote(QWidget):
    """Quiet: the models that can be read are listed all the same. Hidden while everything can."""

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._text = label("", "caption", wrap=True)
        # Commands are there to be copied.
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.MinimumExpanding)
        self.setAccessibleName(self.tr("What can't be read"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._text)
        self.hide()
        bridge.watch(services.library.changed, self._ask)
        self._ask(None)

    @property
    def text(self) -> str:
        return self._text.text()

    def _ask(self, _changed: object) -> None:
        task = self._bridge.call(lambda: self._services.library.troubles, self)
        task.succeeded.connect(self._show)
        task.start()

    def _show(self, troubles: tuple[StoreTrouble, ...]) -> None:
        lines = [f"{source_text(trouble.source)}: {trouble.reason}" for trouble in troubles]
        more = self.tr("And {0} more.").format(len(lines) - _MOST) if len(lines) > _MOST else ""
        self._text.setText("\n".join((*lines[:_MOST], *((more,) if more else ()))))
        self._text.setToolTip(plain_tooltip("\n\n".join(lines)))
        self.setVisible(bool(lines))
