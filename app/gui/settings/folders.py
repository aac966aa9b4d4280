"""The folders that are searched for models."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.gui.controls import ElidedLabel, button, clear, label, tool_button
from app.gui.desktop import Desktop
from app.gui.theme import Theme

__all__ = ["FoldersField"]


class FoldersField(QWidget):
    """The folders a person added. `changed` carries the new tuple of them."""

    changed = Signal(object)

    def __init__(self, desktop: Desktop) -> None:
        super().__init__()
        self._desktop = desktop
        self._folders: tuple[Path, ...] = ()
        self._rows = QVBoxLayout()
        self._rows.setSpacing(Theme.TIGHT)
        self.add_button = button(self.tr("Add a folder…"), "plus", name=self.tr("Add a folder with models"))
        self.add_button.clicked.connect(self._add)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.TIGHT)
        column.addWidget(label(self.tr("Other folders with models")))
        column.addWidget(label(self.tr("Files in there are used where they are, and never changed."), "caption", wrap=True))
        column.addLayout(self._rows)
        bottom = QHBoxLayout()
        bottom.addWidget(self.add_button)
        bottom.addStretch()
        column.addLayout(bottom)

    def set_value(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders
        clear(self._rows)
        for folder in folders:
            self._rows.addWidget(self._row(folder))

    def _row(self, folder: Path) -> QWidget:
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(ElidedLabel(str(folder)), 1)
        remove = tool_button("close", self.tr("Don't search {0}").format(folder))
        remove.clicked.connect(lambda: self._set(tuple(one for one in self._folders if one != folder)))
        line.addWidget(remove)
        return row

    def _add(self) -> None:
        folder = self._desktop.folder(self, title=self.tr("Add a folder with models"))
        if folder is not None and folder not in self._folders:
            self._set((*self._folders, folder))

    def _set(self, folders: tuple[Path, ...]) -> None:
        self.set_value(folders)
        self.changed.emit(folders)
