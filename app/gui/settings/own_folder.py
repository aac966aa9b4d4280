"""Hearth's own models folder, where downloads go, and moving it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.gui.bridge import Bridge
from app.gui.controls import ElidedLabel, button, label, tool_button
from app.gui.desktop import Desktop
from app.gui.errors import sentence
from app.gui.models.work_bar import WorkBar
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["OwnFolderField"]


class OwnFolderField(QWidget):
    """`failed` carries a sentence. The folder is moved with everything in it; what is copied can be cancelled."""

    failed = Signal(str)

    def __init__(self, services: Services, bridge: Bridge, desktop: Desktop) -> None:
        super().__init__()
        self._services = services
        self._bridge = bridge
        self._desktop = desktop
        self.path = ElidedLabel(str(services.paths.models))
        open_button = tool_button("folder", self.tr("Open Hearth's own models folder"))
        open_button.clicked.connect(lambda: desktop.open_folder(Path(self.path.full_text)))
        self.move_button = button(self.tr("Move…"), name=self.tr("Move Hearth's own models folder to another place"))
        self.move_button.clicked.connect(self._ask)
        self.work = WorkBar()
        row = QHBoxLayout()
        row.addWidget(self.path, 1)
        row.addWidget(open_button)
        row.addWidget(self.move_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.TIGHT)
        column.addWidget(label(self.tr("Hearth's models folder")))
        column.addWidget(label(self.tr("Downloads go here."), "caption"))
        column.addLayout(row)
        column.addWidget(self.work)

    def set_value(self, folder: Path | None) -> None:
        """`None` is the usual place."""
        self.path.set_full_text(str(folder or self._services.paths.models))

    def _ask(self) -> None:
        folder = self._desktop.folder(self, title=self.tr("Move the models folder"))
        if folder is None:
            return
        library = self._services.library
        task = self._bridge.follow(lambda tell: library.move_folder(folder, lambda done, total: tell((done, total))), self)
        task.progressed.connect(lambda told: self.work.show_progress(*told))
        task.failed.connect(lambda error: self.failed.emit(sentence(error)))
        for ended in (task.succeeded, task.failed, task.cancelled):
            ended.connect(lambda *_: self.move_button.setEnabled(True))
        self.move_button.setEnabled(False)
        self.work.run(task, self.tr("Moving models"))
