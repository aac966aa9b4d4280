"""What was found, as a list: headings, models of the catalogue, hits of the hub; and how a row is painted."""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from PySide6.QtCore import QAbstractListModel, QCoreApplication, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.domain.fit import FitVerdict
from app.domain.hub import HubModel
from app.domain.models import Capability
from app.gui.figures import age_text, capability_text, count_text, parameters_text, size_text
from app.gui.icons import IconRole, icon
from app.gui.models.fit_words import fit_tone, verdict_text
from app.gui.models.hub_lookup import Hit, Named, Suggestion
from app.gui.models.pill import paint_pill, pill_width
from app.gui.theme import Theme
from app.gui.tooltips import plain_tooltip

__all__ = ["Heading", "HitRowDelegate", "HitsModel", "Row"]

_Index = QModelIndex | QPersistentModelIndex
_MARKS = {
    Capability.VISION: "eye",
    Capability.AUDIO: "sound",
    Capability.REASONING: "think",
    Capability.TOOLS: "tools",
}
_MARK = 15


@dataclass(frozen=True, slots=True)
class Heading:
    text: str


Row: TypeAlias = Heading | Suggestion | Hit


class _Role(enum.IntEnum):
    ROW = Qt.ItemDataRole.UserRole
    TITLE = Qt.ItemDataRole.UserRole + 1
    FACTS = Qt.ItemDataRole.UserRole + 2


class HitsModel(QAbstractListModel):
    """Rows from top to bottom. Headings can't be chosen."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[Row] = []

    def set_rows(self, rows: Iterable[Row]) -> None:
        self.beginResetModel()
        self._rows = list(rows)
        self.endResetModel()

    def add_rows(self, rows: Iterable[Row]) -> None:
        """At the end, without those that are there already: what the hub counts moves while one reads."""
        known = {row.model.id for row in self._rows if isinstance(row, Hit)}
        fresh = [row for row in rows if not (isinstance(row, Hit) and row.model.id in known)]
        if fresh:
            self.beginInsertRows(QModelIndex(), len(self._rows), len(self._rows) + len(fresh) - 1)
            self._rows += fresh
            self.endInsertRows()

    def set_verdicts(self, verdicts: Mapping[str, FitVerdict]) -> None:
        """Whether hits fit, by repository."""
        for place, row in enumerate(self._rows):
            if isinstance(row, Hit) and (verdict := verdicts.get(row.model.id, row.verdict)) is not row.verdict:
                self._rows[place] = Hit(row.model, verdict)
                self.dataChanged.emit(self.index(place), self.index(place))

    def row(self, index: _Index) -> Row | None:
        return self._rows[index.row()] if index.isValid() and index.row() < len(self._rows) else None

    def named(self, index: _Index) -> Named | None:
        """What a row stands for."""
        match self.row(index):
            case Hit(model):
                return Named(model.id)
            case Suggestion(model):
                return Named(model.repository, model.quantization)
            case _:
                return None

    def first_hit(self) -> QModelIndex:
        place = next((place for place, row in enumerate(self._rows) if not isinstance(row, Heading)), None)
        return self.index(place) if place is not None else QModelIndex()

    def rowCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def flags(self, index: _Index) -> Qt.ItemFlag:
        if isinstance(self.row(index), Heading):
            return Qt.ItemFlag.NoItemFlags
        return super().flags(index)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.row(index)
        if row is None:
            return None
        match role:
            case Qt.ItemDataRole.DisplayRole | _Role.TITLE:
                return _title(row)
            case Qt.ItemDataRole.AccessibleTextRole:
                return ", ".join(part for part in (_title(row), self._facts(row), *_spoken(row)) if part)
            case Qt.ItemDataRole.ToolTipRole if not isinstance(row, Heading):
                return plain_tooltip("\n".join(part for part in (_repository(row), *_spoken(row)) if part))
            case _Role.ROW:
                return row
            case _Role.FACTS:
                return self._facts(row)
        return None

    def _facts(self, row: Row) -> str:
        """The second line."""
        match row:
            case Heading():
                return ""
            case Suggestion(model):
                return self.tr("{0}  ·  {1}").format(model.about, size_text(model.size_bytes))
            case Hit(model):
                return "  ·  ".join(self._of_hit(model))

    def _of_hit(self, model: HubModel) -> list[str]:
        facts = [self.tr("{0} parameters").format(parameters_text(model.parameters))] if model.parameters else []
        facts += [model.license] if model.license else []
        facts += [self.tr("{0} downloads").format(count_text(model.downloads))] if model.downloads else []
        facts += [self.tr("{0} likes").format(count_text(model.likes))] if model.likes else []
        facts += [self.tr("updated {0}").format(age_text(model.updated))] if model.updated is not None else []
        return facts


class HitRowDelegate(QStyledItemDelegate):
    """A heading; or two lines: name, publisher and marks, then facts; at the right whether it fits."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        look = _look(Theme.current().body_pt, option.font.family())
        return look.heading_size if isinstance(index.data(_Role.ROW), Heading) else look.row_size

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        row: Row = index.data(_Role.ROW)
        look = _look(Theme.current().body_pt, option.font.family())
        rect: QRect = option.rect
        if isinstance(row, Heading):
            painter.setFont(look.heading)
            painter.setPen(Theme.current().muted)
            box = rect.adjusted(Theme.PAD, 0, -Theme.PAD, -Theme.TIGHT)
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, row.text)
        else:
            _paint_ground(painter, option)
            chosen = bool(option.state & QStyle.StateFlag.State_Selected)
            self._paint_model(painter, rect, row, index.data(_Role.FACTS), look, chosen=chosen)
        painter.restore()

    def _paint_model(
        self, painter: QPainter, rect: QRect, row: Hit | Suggestion, facts: str, look: _Look, *, chosen: bool
    ) -> None:
        inner = rect.adjusted(Theme.PAD, Theme.GAP, -Theme.PAD, -Theme.GAP)
        right = inner.right()
        if row.verdict is not None:
            text = verdict_text(row.verdict)
            right -= pill_width(text, look.facts)
            paint_pill(painter, right, inner.center().y(), text, fit_tone(row.verdict), font=look.facts, chosen=chosen)
            right -= Theme.PAD
        first = QRect(inner.left(), inner.top(), right - inner.left(), look.name_height)
        self._paint_title(painter, first, row, look)
        second = QRect(inner.left(), first.bottom() + 2, right - inner.left(), look.facts_height)
        painter.setFont(look.facts)
        painter.setPen(Theme.current().muted)
        shown = look.facts_metrics.elidedText(facts, Qt.TextElideMode.ElideRight, second.width())
        painter.drawText(second, Qt.AlignmentFlag.AlignVCenter, shown)

    def _paint_title(self, painter: QPainter, line: QRect, row: Hit | Suggestion, look: _Look) -> None:
        """The name first, then marks, then who published it, as far as there is room."""
        theme = Theme.current()
        marks = _marks(row)
        room = line.width() - (_MARK + Theme.TIGHT) * len(marks)
        name = look.name_metrics.elidedText(_title(row), Qt.TextElideMode.ElideRight, room)
        painter.setFont(look.name)
        painter.setPen(theme.text)
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, name)
        x = line.left() + look.name_metrics.horizontalAdvance(name) + Theme.GAP
        for mark in marks:
            role = IconRole.WARNING if mark == "lock" else IconRole.ACCENT
            icon(mark, role=role).paint(painter, QRect(x, line.center().y() - _MARK // 2, _MARK, _MARK))
            x += _MARK + Theme.TIGHT
        rest = QRect(x, line.top(), max(0, line.right() - x), line.height())
        painter.setFont(look.facts)
        painter.setPen(theme.muted)
        publisher = look.facts_metrics.elidedText(_publisher(row), Qt.TextElideMode.ElideRight, rest.width())
        painter.drawText(rest, Qt.AlignmentFlag.AlignVCenter, publisher)


def _title(row: Row) -> str:
    match row:
        case Heading(text):
            return text
        case Suggestion(model):
            return model.name
        case Hit(model):
            return model.id.rpartition("/")[2]


def _publisher(row: Row) -> str:
    return _repository(row).rpartition("/")[0] if isinstance(row, Hit) else _repository(row)


def _repository(row: Row) -> str:
    match row:
        case Heading():
            return ""
        case Suggestion(model):
            return model.repository
        case Hit(model):
            return model.id


def _marks(row: Hit | Suggestion) -> list[str]:
    marks = [drawing for capability, drawing in _MARKS.items() if capability in row.model.capabilities]
    return [*marks, "lock"] if isinstance(row, Hit) and row.model.gated else marks


def _spoken(row: Row) -> list[str]:
    """What a row shows by drawings alone."""
    if isinstance(row, Heading):
        return []
    words = [capability_text(capability) for capability in _MARKS if capability in row.model.capabilities]
    if isinstance(row, Hit) and row.model.gated:
        words.append(_tr("Gated: its licence has to be accepted first"))
    verdict: FitVerdict | None = row.verdict
    return [*words, verdict_text(verdict)] if verdict is not None else words


def _paint_ground(painter: QPainter, option: QStyleOptionViewItem) -> None:
    theme = Theme.current()
    state: QStyle.StateFlag = option.state
    if state & QStyle.StateFlag.State_Selected:
        painter.setBrush(theme.accent_soft)
    elif state & QStyle.StateFlag.State_MouseOver:
        painter.setBrush(theme.hover)
    else:
        return
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawRoundedRect(option.rect.adjusted(1, 1, -1, -1), Theme.RADIUS_SMALL, Theme.RADIUS_SMALL)


class _Look:
    """Fonts and sizes of rows. Made once for a font: views ask for the height of every row again and again."""

    def __init__(self, theme: Theme, family: str) -> None:
        self.name, self.facts, self.heading = (QFont(family) for _ in range(3))
        self.name.setPointSizeF(theme.body_pt)
        self.name.setWeight(QFont.Weight.DemiBold)
        self.facts.setPointSizeF(theme.caption_pt)
        self.heading.setPointSizeF(theme.caption_pt)
        self.heading.setWeight(QFont.Weight.DemiBold)
        self.name_metrics, self.facts_metrics = QFontMetrics(self.name), QFontMetrics(self.facts)
        self.name_height, self.facts_height = self.name_metrics.height(), self.facts_metrics.height()
        self.heading_size = QSize(160, self.facts_height + Theme.GAP + Theme.PAD)
        self.row_size = QSize(160, self.name_height + self.facts_height + 2 * Theme.GAP + 2)


@functools.lru_cache(maxsize=4)
def _look(body_pt: float, family: str) -> _Look:
    return _Look(Theme.current(), family)


def _tr(text: str) -> str:
    return QCoreApplication.translate("hub", text)
