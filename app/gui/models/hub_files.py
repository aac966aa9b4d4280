"""The model files of a repository on the hub, as a table."""

from __future__ import annotations

import enum
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.domain.fit import Fit
from app.domain.models import RemoteFile
from app.gui.figures import size_text
from app.gui.models.fit_words import fit_short, fit_text, fit_tone
from app.gui.models.pill import Tone, paint_pill, pill_width
from app.gui.theme import Theme
from app.gui.tooltips import plain_tooltip

__all__ = ["Column", "HubFilesDelegate", "HubFilesModel"]

_Index = QModelIndex | QPersistentModelIndex
_LEAST_PILL = 44


class Column(enum.IntEnum):
    QUANTIZATION = 0
    SIZE = 1
    FIT = 2


class _Role(enum.IntEnum):
    PILLS = Qt.ItemDataRole.UserRole


class HubFilesModel(QAbstractTableModel):
    """What is known of each file; whether it fits comes later. Sizes count the projector that comes with it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._files: tuple[RemoteFile, ...] = ()
        self._fits: dict[str, Fit | str] = {}
        self._installed: frozenset[str] = frozenset()
        self._recommended = ""

    def set_files(self, files: tuple[RemoteFile, ...]) -> None:
        """Show `files`, the smallest first."""
        self.beginResetModel()
        self._files = tuple(sorted(files, key=lambda file: file.size_bytes))
        self._fits = {}
        self._recommended = ""
        self.endResetModel()

    def set_fit(self, file: RemoteFile, fit: Fit | str) -> None:
        """Whether it fits, or why that can't be told."""
        self._fits[file.label] = fit
        self._tell(file.label, Column.FIT)

    def set_recommended(self, file: RemoteFile) -> None:
        self._recommended = file.label
        self._tell(file.label, Column.QUANTIZATION)

    def set_installed(self, names: frozenset[str]) -> None:
        """Names of files of this repository that are on this computer."""
        changed, self._installed = self._installed ^ names, names
        for file in self._files:
            if _name(file) in changed:
                self._tell(file.label, Column.QUANTIZATION)

    def file(self, row: int) -> RemoteFile:
        return self._files[row]

    def fit(self, file: RemoteFile) -> Fit | str | None:
        return self._fits.get(file.label)

    def is_installed(self, file: RemoteFile) -> bool:
        return _name(file) in self._installed

    def row_of(self, file: RemoteFile) -> int | None:
        return next((row for row, one in enumerate(self._files) if one.label == file.label), None)

    def row_of_quantization(self, name: str) -> int | None:
        wanted = name.casefold()
        return next((row for row, one in enumerate(self._files) if one.quantization.casefold() == wanted), None)

    def rowCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._files)

    def columnCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(Column)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        file, column = self._files[index.row()], Column(index.column())
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._text(file, column)
            case Qt.ItemDataRole.AccessibleTextRole:
                return ", ".join(
                    word for word in (self._text(file, column), *(text for text, _ in self._pills(file, column))) if word
                )
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(self._more(file, column))
            case Qt.ItemDataRole.TextAlignmentRole if column is Column.SIZE:
                return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            case _Role.PILLS:
                return self._pills(file, column)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return (self.tr("Quantization"), self.tr("Size"), self.tr("On this computer"))[section]
            case Qt.ItemDataRole.TextAlignmentRole:
                side = Qt.AlignmentFlag.AlignRight if section == Column.SIZE else Qt.AlignmentFlag.AlignLeft
                return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def _text(self, file: RemoteFile, column: Column) -> str:
        match column:
            case Column.QUANTIZATION:
                return file.quantization or PurePosixPath(file.label).stem
            case Column.SIZE:
                return size_text(file.size_bytes)
            case Column.FIT:
                fit = self._fits.get(file.label)
                return "…" if fit is None else "–" if isinstance(fit, str) else ""

    def _pills(self, file: RemoteFile, column: Column) -> tuple[tuple[str, Tone], ...]:
        match column:
            case Column.QUANTIZATION:
                pills = ((self.tr("Recommended"), Tone.ACCENT),) if file.label == self._recommended else ()
                return (*pills, (self.tr("Installed"), Tone.PLAIN)) if self.is_installed(file) else pills
            case Column.FIT:
                fit = self._fits.get(file.label)
                return ((fit_short(fit), fit_tone(fit.verdict)),) if isinstance(fit, Fit) else ()
            case Column.SIZE:
                return ()

    def _more(self, file: RemoteFile, column: Column) -> str:
        fit = self._fits.get(file.label)
        if column is Column.FIT and fit is not None:
            return fit if isinstance(fit, str) else fit_text(fit)
        return "\n".join(file.names)

    def _tell(self, label: str, column: Column) -> None:
        row = next((row for row, file in enumerate(self._files) if file.label == label), None)
        if row is not None:
            self.dataChanged.emit(self.index(row, column), self.index(row, column))


class HubFilesDelegate(QStyledItemDelegate):
    """A cell's text, and words in rounded fields after it."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        font, small = _fonts(option)
        width = QFontMetrics(font).horizontalAdvance(index.data() or "") + 2 + 2 * Theme.PAD
        pills = index.data(_Role.PILLS) or ()
        width += sum(pill_width(text, small) + Theme.GAP for text, _ in pills)
        return QSize(width, QFontMetrics(font).height() + 2 * Theme.GAP)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        theme = Theme.current()
        font, small = _fonts(option)
        rect: QRect = option.rect
        state: QStyle.StateFlag = option.state
        painter.save()
        chosen = bool(state & QStyle.StateFlag.State_Selected)
        if chosen:
            painter.fillRect(rect, theme.accent_soft)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(rect, theme.hover)
        painter.fillRect(QRect(rect.left(), rect.bottom(), rect.width(), 1), theme.border)
        inner = rect.adjusted(Theme.PAD, 0, -Theme.PAD, 0)
        pills = index.data(_Role.PILLS) or ()
        text = QFontMetrics(font).elidedText(index.data() or "", Qt.TextElideMode.ElideRight, inner.width() + 1)
        painter.setFont(font)
        painter.setPen(theme.muted if index.column() == Column.FIT else theme.text)
        side = Qt.AlignmentFlag.AlignRight if index.column() == Column.SIZE else Qt.AlignmentFlag.AlignLeft
        painter.drawText(inner, side | Qt.AlignmentFlag.AlignVCenter, text)
        x = inner.left() + (QFontMetrics(font).horizontalAdvance(text) + Theme.GAP if text else 0)
        for words, tone in pills:
            if inner.right() - x < _LEAST_PILL:
                break
            x = (
                paint_pill(painter, x, rect.center().y(), words, tone, font=small, chosen=chosen, most=inner.right() - x)
                + Theme.GAP
            )
        painter.restore()


def _name(file: RemoteFile) -> str:
    return PurePosixPath(file.label).name


def _fonts(option: QStyleOptionViewItem) -> tuple[QFont, QFont]:
    theme = Theme.current()
    font, small = QFont(option.font), QFont(option.font)
    font.setPointSizeF(theme.body_pt)
    small.setPointSizeF(theme.caption_pt)
    return font, small
