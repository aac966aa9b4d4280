"""The model files of a repository on the hub, as a table."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from app.domain.models import RemoteFile
from app.gui.figures import size_text
from app.gui.tooltips import plain_tooltip

__all__ = ["HubFilesModel"]

_Index = QModelIndex | QPersistentModelIndex


class HubFilesModel(QAbstractTableModel):
    """Columns: quantization, size, file."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._files: tuple[RemoteFile, ...] = ()

    def set_files(self, files: tuple[RemoteFile, ...]) -> None:
        """Show `files`, the smallest first."""
        self.beginResetModel()
        self._files = tuple(sorted(files, key=lambda file: file.size_bytes))
        self.endResetModel()

    def file(self, row: int) -> RemoteFile:
        return self._files[row]

    def rowCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._files)

    def columnCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else 3

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        file = self._files[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._text(file, index.column())
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip("\n".join(file.names))
            case Qt.ItemDataRole.TextAlignmentRole if index.column() == 1:
                return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return (self.tr("Quantization"), self.tr("Size"), self.tr("File"))[section]
            case Qt.ItemDataRole.TextAlignmentRole:
                side = Qt.AlignmentFlag.AlignRight if section == 1 else Qt.AlignmentFlag.AlignLeft
                return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def _text(self, file: RemoteFile, column: int) -> str:
        if column == 0:
            return file.quantization or "–"
        if column == 1:
            return size_text(file.size_bytes)
        name = PurePosixPath(file.label).name
        return name if len(file.names) == 1 else self.tr("{0} and %n more", "", len(file.names) - 1).format(name)
