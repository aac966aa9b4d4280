"""The installed models as a list: a Qt model, and how a row is painted."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QAbstractListModel, QCoreApplication, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.domain.models import Capability, InstalledModel, LoadedModel, ModelSource, ModelState
from app.gui.figures import context_text, name_among, size_text, source_text
from app.gui.icons import IconRole, icon
from app.gui.theme import Theme
from app.gui.tooltips import plain_tooltip

__all__ = ["ModelListModel", "ModelRole", "ModelRowDelegate", "state_text"]

_USUAL = (ModelSource.BUILT_IN, ModelSource.LIBRARY)
_Index = QModelIndex | QPersistentModelIndex


class ModelRole(enum.IntEnum):
    MODEL = Qt.ItemDataRole.UserRole
    STATE = Qt.ItemDataRole.UserRole + 1
    FACTS = Qt.ItemDataRole.UserRole + 2


class ModelListModel(QAbstractListModel):
    """Installed models in the library's order, each with its place in memory."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._models: tuple[InstalledModel, ...] = ()
        self._states: dict[str, LoadedModel] = {}

    def set_models(self, models: Iterable[InstalledModel]) -> None:
        self.beginResetModel()
        self._models = tuple(models)
        self.endResetModel()

    def set_state(self, state: LoadedModel) -> None:
        """Take note of a model's place in memory, whether it is listed yet or not."""
        self._states[state.id] = state
        row = self.row_of(state.id)
        if row is not None:
            self.dataChanged.emit(self.index(row), self.index(row))

    def row_of(self, model_id: str) -> int | None:
        return next((row for row, model in enumerate(self._models) if model.id == model_id), None)

    def state_of(self, model_id: str) -> LoadedModel:
        return self._states.get(model_id) or LoadedModel(model_id, ModelState.UNLOADED)

    def rowCount(self, parent: _Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._models)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        model = self._models[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return name_among(self._models, model)
            case Qt.ItemDataRole.AccessibleTextRole:
                return self._spoken(model)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(model.problem or str(model.path))
            case ModelRole.MODEL:
                return model
            case ModelRole.STATE:
                return self.state_of(model.id)
            case ModelRole.FACTS:
                return self._facts(model)
        return None

    def _facts(self, model: InstalledModel) -> str:
        """The second line of a row."""
        if model.problem:
            return model.problem
        elsewhere = source_text(model.source) if model.source not in _USUAL else ""
        facts = [elsewhere, model.quantization, size_text(model.size_bytes)]
        if model.n_ctx_train:
            facts.append(context_text(model.n_ctx_train))
        return "  ·  ".join(fact for fact in facts if fact)

    def _spoken(self, model: InstalledModel) -> str:
        parts = [name_among(self._models, model), self._facts(model), state_text(self.state_of(model.id))]
        if model.can(Capability.VISION):
            parts.insert(1, self.tr("can see pictures"))
        return ", ".join(part for part in parts if part)


def state_text(state: LoadedModel) -> str:
    """A model's place in memory in a word or two; "" where there is nothing to say."""
    match state.state:
        case ModelState.UNLOADED:
            return ""
        case ModelState.LOADING:
            return _tr("Loading, {0} %").format(round(state.progress * 100))
        case ModelState.READY:
            return _tr("Loaded")
        case ModelState.UNLOADING:
            return _tr("Unloading")
        case ModelState.FAILED:
            return _tr("Could not be loaded")


class ModelRowDelegate(QStyledItemDelegate):
    """Two lines: the name with its marks, and the facts; at the right a dot for what is in memory."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        name, facts = self._fonts(option)
        lines = QFontMetrics(name).height() + QFontMetrics(facts).height()
        return QSize(160, lines + 2 * Theme.GAP + 2)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        theme = Theme.current()
        model: InstalledModel = index.data(ModelRole.MODEL)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_ground(painter, option, theme)
        inner: QRect = option.rect.adjusted(Theme.PAD, Theme.GAP, -Theme.PAD, -Theme.GAP)
        name_font, facts_font = self._fonts(option)
        right = self._paint_state(painter, inner, index.data(ModelRole.STATE), theme)
        marks = ["eye"] if model.can(Capability.VISION) else []
        name_line = QRect(inner.left(), inner.top(), right - inner.left() - 20 * len(marks), QFontMetrics(name_font).height())
        shown = QFontMetrics(name_font).elidedText(index.data(), Qt.TextElideMode.ElideRight, name_line.width())
        painter.setFont(name_font)
        painter.setPen(theme.muted if model.problem else theme.text)
        painter.drawText(name_line, Qt.AlignmentFlag.AlignVCenter, shown)
        after = name_line.left() + QFontMetrics(name_font).horizontalAdvance(shown) + Theme.GAP
        for mark in marks:
            icon(mark, role=IconRole.ACCENT).paint(painter, QRect(after, name_line.center().y() - 7, 15, 15))
        facts_line = QRect(inner.left(), name_line.bottom() + 2, inner.width(), QFontMetrics(facts_font).height())
        painter.setFont(facts_font)
        painter.setPen(theme.error if model.problem else theme.muted)
        facts = QFontMetrics(facts_font).elidedText(index.data(ModelRole.FACTS), Qt.TextElideMode.ElideRight, inner.width())
        painter.drawText(facts_line, Qt.AlignmentFlag.AlignVCenter, facts)
        painter.restore()

    def _paint_ground(self, painter: QPainter, option: QStyleOptionViewItem, theme: Theme) -> None:
        state: QStyle.StateFlag = option.state
        ground = option.rect.adjusted(1, 1, -1, -1)
        painter.setPen(Qt.PenStyle.NoPen)
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(theme.accent_soft)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(theme.hover)
        else:
            return
        painter.drawRoundedRect(ground, Theme.RADIUS_SMALL, Theme.RADIUS_SMALL)

    def _paint_state(self, painter: QPainter, inner: QRect, state: LoadedModel, theme: Theme) -> int:
        """Paint the dot, or how far loading has come; return where it begins."""
        colours = {ModelState.READY: theme.success, ModelState.LOADING: theme.accent, ModelState.FAILED: theme.error}
        colour = colours.get(state.state)
        if colour is None:
            return inner.right()
        spot = QRect(inner.right() - 11, inner.top() + 4, 10, 10)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.hover if state.state is ModelState.LOADING else colour)
        painter.drawEllipse(spot)
        if state.state is ModelState.LOADING:
            painter.setBrush(colour)
            painter.drawPie(spot, 90 * 16, -round(max(state.progress, 0.04) * 360 * 16))
        return spot.left() - Theme.GAP

    @staticmethod
    def _fonts(option: QStyleOptionViewItem) -> tuple[QFont, QFont]:
        theme = Theme.current()
        name, facts = QFont(option.font), QFont(option.font)
        name.setPointSizeF(theme.body_pt)
        name.setWeight(QFont.Weight.DemiBold)
        facts.setPointSizeF(theme.caption_pt)
        return name, facts


def _tr(text: str) -> str:
    return QCoreApplication.translate("models", text)
