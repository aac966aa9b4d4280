"""The latest requests to the server, as a table."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QLocale, QModelIndex, QObject, QPersistentModelIndex, Qt

from app.gui.figures import duration_text
from app.gui.theme import Theme
from app.gui.tooltips import plain_tooltip
from app.service.activity import RequestRecord

__all__ = ["RequestsModel"]

_Index = QModelIndex | QPersistentModelIndex
_KEPT = 200
_COLUMNS = 7
_FIGURES = range(3, _COLUMNS)


class RequestsModel(QAbstractTableModel):
    """Newest first; columns: time, endpoint, model, status, tokens, tokens per second, duration."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._records: list[RequestRecord] = []

    def put(self, record: RequestRecord) -> None:
        """Add a request, or bring a known one up to date."""
        for row, known in enumerate(self._records):
            if known.id == record.id:
                self._records[row] = record
                self.dataChanged.emit(self.index(row, 0), self.index(row, _COLUMNS - 1))
                return
        self.beginInsertRows(QModelIndex(), 0, 0)
        self._records.insert(0, record)
        self.endInsertRows()
        if len(self._records) > _KEPT:
            self.beginRemoveRows(QModelIndex(), _KEPT, _KEPT)
            self._records.pop()
            self.endRemoveRows()

    def rowCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._records)

    def columnCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else _COLUMNS

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        record = self._records[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._text(record, index.column())
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(record.error or (self.tr("With the key {0}").format(record.key) if record.key else ""))
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(index.column())
            case Qt.ItemDataRole.ForegroundRole if index.column() == 3 and record.status is not None and record.status >= 400:
                return Theme.current().error
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._titles()[section]
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(section)
        return None

    def _titles(self) -> tuple[str, ...]:
        return (
            self.tr("Time"),
            self.tr("Endpoint"),
            self.tr("Model"),
            self.tr("Status"),
            self.tr("Tokens"),
            self.tr("Tokens/s"),
            self.tr("Duration"),
        )

    def _text(self, record: RequestRecord, column: int) -> str:
        match column:
            case 0:
                return record.started.astimezone().strftime("%H:%M:%S")
            case 1:
                return record.endpoint.replace("/v1/", "", 1)
            case 2:
                return record.model
            case 3:
                return self.tr("running") if record.status is None else str(record.status)
            case 4:
                return _tokens(record)
            case 5:
                return "" if record.tokens_per_s is None else QLocale().toString(record.tokens_per_s, "f", 1)
            case _:
                return "" if record.duration_s is None else duration_text(record.duration_s)


def _tokens(record: RequestRecord) -> str:
    """Read and written: "120 + 48"."""
    counts = [str(count) for count in (record.prompt_tokens, record.completion_tokens) if count is not None]
    return " + ".join(counts)


def _alignment(column: int) -> int:
    side = Qt.AlignmentFlag.AlignRight if column in _FIGURES else Qt.AlignmentFlag.AlignLeft
    return int(side | Qt.AlignmentFlag.AlignVCenter)
