"""What a model takes of each device, as bars of its parts beside what is free."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QRectF
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.domain.fit import Fit
from app.domain.memory import HOST, DeviceNeed
from app.gui.controls import clear, label
from app.gui.figures import memory_text
from app.gui.flow import FlowLayout
from app.gui.theme import Theme, mix

__all__ = ["MemoryBars", "need_text"]

_HEIGHT = 14
_RADIUS = 4
_OVER_HEIGHT = 5
_SPOT = 10
# A part of less is not worth a place in the legend.
_LEAST_SHARE = 0.004
# Of more devices than these, only bars and sums are shown.
_LEGENDS = 3


@dataclass(frozen=True, slots=True)
class _Part:
    """`shade` says which of the colours it is painted in."""

    name: str
    size_bytes: int
    shade: int


class MemoryBars(QWidget):
    """A bar for each device that a plan uses."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(Theme.PAD)

    def show_fit(self, fit: Fit | None) -> None:
        """Show what a plan takes, or nothing."""
        clear(self._column)
        needs = [need for need in fit.plan.needs if need.total_bytes] if fit is not None else []
        for need in needs:
            made = _Device(need, legend=len(needs) <= _LEGENDS)
            self._column.addWidget(made)
            # At once, or it has no height yet for a window that asks.
            made.show()
        if fit is not None and fit.plan.over_limit_bytes:
            needed, limit = memory_text(fit.plan.total_bytes), memory_text(fit.plan.limit_bytes)
            text = self.tr("It needs {0} in all, and the memory limit leaves {1}.").format(needed, limit)
            told = label(text, "caption", wrap=True)
            self._column.addWidget(told)
            told.show()


class _Device(QWidget):
    """The device's name, its bar, and a legend with figures. All of it is in the accessible name."""

    def __init__(self, need: DeviceNeed, *, legend: bool) -> None:
        super().__init__()
        self.setAccessibleName(need_text(need))
        head = QHBoxLayout()
        head.addWidget(label(_device_text(need.device), "caption", wrap=True), 1)
        figures = self.tr("{0} needed of {1}").format(memory_text(_taken(need)), memory_text(_usable(need)))
        head.addWidget(label(figures, "caption" if need.fits else "error"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.TIGHT)
        column.addLayout(head)
        column.addWidget(_Bar(need))
        if not legend:
            self.setToolTip(need_text(need))
            return
        words = QWidget()
        entries = FlowLayout(words, gap=Theme.PAD)
        # What is left to others is told where it is what keeps the model out.
        margin = () if need.fits else (_Part(self.tr("For other programs"), need.free_bytes - _usable(need), _MARGIN),)
        for part in (*_worth_naming(need), *margin):
            entries.addWidget(_Entry(part))
        column.addWidget(words)


class _Bar(QWidget):
    def __init__(self, need: DeviceNeed) -> None:
        super().__init__()
        self._need = need
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QPaintEvent) -> None:
        need, theme = self._need, Theme.current()
        taken, usable = _taken(need), _usable(need)
        scale = self.width() / max(1, taken, need.free_bytes)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        outline = QPainterPath()
        outline.addRoundedRect(QRectF(self.rect()), _RADIUS, _RADIUS)
        painter.setClipPath(outline)
        painter.fillRect(self.rect(), theme.hover)
        self._fill(painter, usable * scale, need.free_bytes * scale, _colour(theme, _MARGIN))
        at = 0.0
        for part in _parts(need):
            end = at + part.size_bytes * scale
            self._fill(painter, at, end, _colour(theme, part.shade))
            at = end
        if taken > usable:
            # Below the parts, which stay to be seen: this much is too much.
            over = QRectF(usable * scale, _HEIGHT - _OVER_HEIGHT, (taken - usable) * scale, _OVER_HEIGHT)
            painter.fillRect(over, theme.error)
        if taken > need.free_bytes:
            painter.fillRect(QRectF(need.free_bytes * scale - 1, 0, 2, _HEIGHT), theme.text)
        painter.end()

    def _fill(self, painter: QPainter, start: float, end: float, colour: QColor) -> None:
        if end > start:
            painter.fillRect(QRectF(start, 0, max(1.0, end - start - 1), _HEIGHT), colour)


class _Entry(QWidget):
    """A spot in a part's colour, its name and its size."""

    def __init__(self, part: _Part) -> None:
        super().__init__()
        self._shade = part.shade
        row = QHBoxLayout(self)
        row.setContentsMargins(_SPOT + 5, 0, 0, 0)
        row.addWidget(label(f"{part.name} {memory_text(part.size_bytes)}", "caption"))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(_colour(Theme.current(), self._shade))
        painter.setBrush(_colour(Theme.current(), self._shade))
        painter.drawRoundedRect(QRectF(0.5, (self.height() - _SPOT) / 2, _SPOT - 1, _SPOT - 1), 3, 3)
        painter.end()


def need_text(need: DeviceNeed) -> str:
    """All that a bar shows, in words."""
    parts = ", ".join(f"{part.name} {memory_text(part.size_bytes)}" for part in _worth_naming(need))
    return _tr("{0}: {1} needed ({2}), {3} free, of which {4} are left to other programs.").format(
        _device_text(need.device),
        memory_text(_taken(need)),
        parts,
        memory_text(need.free_bytes),
        memory_text(need.free_bytes - _usable(need)),
    )


def _taken(need: DeviceNeed) -> int:
    return need.total_bytes + need.shared_bytes


def _usable(need: DeviceNeed) -> int:
    return max(0, need.free_bytes - need.margin_bytes)


def _device_text(device: str) -> str:
    return _tr("Memory of the computer") if device == HOST else _tr("Graphics card {0}").format(device)


def _parts(need: DeviceNeed) -> tuple[_Part, ...]:
    return (
        _Part(_tr("Weights"), need.weights_bytes, 0),
        _Part(_tr("Context"), need.kv_bytes, 1),
        _Part(_tr("Computing"), need.compute_bytes, 2),
        _Part(_tr("Pictures"), need.projector_bytes, 3),
        _Part(_tr("Draft model"), need.draft_bytes, 4),
        _Part(_tr("For the graphics card"), need.shared_bytes, 5),
    )


_MARGIN = 6


def _colour(theme: Theme, shade: int) -> QColor:
    return (
        theme.accent,
        theme.success,
        mix(theme.muted, theme.success, 0.25),
        theme.warning,
        mix(theme.accent, theme.text, 0.55),
        theme.faint,
        theme.border,
    )[shade]


def _worth_naming(need: DeviceNeed) -> list[_Part]:
    return [part for part in _parts(need) if part.size_bytes > _LEAST_SHARE * _taken(need)]


def _tr(text: str) -> str:
    return QCoreApplication.translate("memory", text)
