"""What was found in the conversations: a row for each, with the place."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.chats import SearchHit
from app.gui.theme import Theme
from app.gui.tooltips import plain_tooltip

__all__ = ["SearchModel", "SearchResults"]

_Index = QModelIndex | QPersistentModelIndex
_HIT = Qt.ItemDataRole.UserRole


class SearchModel(QAbstractListModel):
    """Rows of `SearchHit`s."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._hits: tuple[SearchHit, ...] = ()

    def show_hits(self, hits: tuple[SearchHit, ...]) -> None:
        if hits != self._hits:
            self.beginResetModel()
            self._hits = hits
            self.endResetModel()

    def rowCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._hits)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self._hits):
            return None
        hit = self._hits[index.row()]
        title = hit.conversation.title or self.tr("Untitled chat")
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return title
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{title}: {hit.snippet}" if hit.snippet else title
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(f"{title}\n{hit.snippet}" if hit.snippet else title)
            case _ if role == _HIT:
                return hit
        return None


class SearchResults(QListView):
    """`chosen` carries the SearchHit to open."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.results = SearchModel(self)
        self.setModel(self.results)
        self.setItemDelegate(_HitDelegate(self))
        self.setMouseTracking(True)
        self.setUniformItemSizes(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(self.tr("Chats that were found"))
        self.clicked.connect(self._choose)
        self.activated.connect(self._choose)

    def choose_first(self) -> None:
        """Open what was found first, if anything was."""
        if self.results.rowCount():
            self.setCurrentIndex(self.results.index(0))
            self._choose(self.currentIndex())

    def _choose(self, index: QModelIndex) -> None:
        self.chosen.emit(index.data(_HIT))


class _HitDelegate(QStyledItemDelegate):
    """Two lines: the title, and the place where it was found, with the words marked."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        title, place = self._fonts(option)
        return QSize(120, QFontMetrics(title).height() + QFontMetrics(place).height() + 2 * Theme.GAP)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        theme = Theme.current()
        hit: SearchHit = index.data(_HIT)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_ground(painter, option, theme)
        inner: QRect = option.rect.adjusted(Theme.GAP, Theme.TIGHT, -Theme.GAP, -Theme.TIGHT)
        title_font, place_font = self._fonts(option)
        title_metrics, place_metrics = QFontMetrics(title_font), QFontMetrics(place_font)
        painter.setFont(title_font)
        painter.setPen(theme.text)
        line = QRect(inner.left(), inner.top(), inner.width(), title_metrics.height())
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, self._elided(index.data(), title_metrics, inner.width()))
        line = QRect(inner.left(), line.bottom() + 1, inner.width(), place_metrics.height())
        self._paint_place(painter, line, hit, place_font, theme)
        painter.restore()

    def _paint_place(self, painter: QPainter, line: QRect, hit: SearchHit, font: QFont, theme: Theme) -> None:
        strong = QFont(font)
        strong.setWeight(QFont.Weight.DemiBold)
        painter.setClipRect(line)
        x, at = line.left(), 0
        # The words that were found have to be seen on a narrow line too.
        skipped = max(0, hit.marks[0][0] - 12) if hit.marks else 0
        pieces = []
        for start, end in hit.marks:
            pieces += [(max(at, skipped), start, False), (start, end, True)]
            at = end
        pieces.append((max(at, skipped), len(hit.snippet), False))
        for start, end, marked in pieces:
            text = hit.snippet[start:end]
            painter.setFont(strong if marked else font)
            painter.setPen(theme.text if marked else theme.muted)
            painter.drawText(QRect(x, line.top(), line.right() - x + 1, line.height()), Qt.AlignmentFlag.AlignVCenter, text)
            x += QFontMetrics(strong if marked else font).horizontalAdvance(text)

    def _paint_ground(self, painter: QPainter, option: QStyleOptionViewItem, theme: Theme) -> None:
        state: QStyle.StateFlag = option.state
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(theme.accent_soft)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(theme.hover)
        else:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawRoundedRect(option.rect.adjusted(1, 1, -1, -1), Theme.RADIUS_SMALL, Theme.RADIUS_SMALL)

    @staticmethod
    def _elided(text: str, metrics: QFontMetrics, width: int) -> str:
        return metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)

    @staticmethod
    def _fonts(option: QStyleOptionViewItem) -> tuple[QFont, QFont]:
        theme = Theme.current()
        title, place = QFont(option.font), QFont(option.font)
        title.setPointSizeF(theme.body_pt)
        place.setPointSizeF(theme.caption_pt)
        return title, place
