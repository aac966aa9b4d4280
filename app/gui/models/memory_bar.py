"""What a model takes of a device's memory, as one bar: weights, context, computing, pictures, and what is left."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from app.domain.fit import Fit
from app.domain.memory import HOST, DeviceNeed
from app.gui.controls import label
from app.gui.figures import memory_text
from app.gui.flow import FlowLayout
from app.gui.theme import Theme

__all__ = ["MemoryBars"]

_HEIGHT = 12


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    size_bytes: int
    colour: str
    """A field of `Theme`."""


class MemoryBars(QWidget):
    """A bar for each device that a plan uses, with a line of words below each."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(Theme.GAP)

    def show_fit(self, fit: Fit) -> None:
        while (item := self._column.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        for need in fit.plan.needs:
            if need.total_bytes:
                self._column.addWidget(
                    _Device(need, self._parts(need), self.tr("Memory") if need.device == HOST else need.device)
                )

    def _parts(self, need: DeviceNeed) -> tuple[_Part, ...]:
        parts = (
            _Part(self.tr("weights"), need.weights_bytes, "accent"),
            _Part(self.tr("context"), need.kv_bytes, "warning"),
            _Part(self.tr("computing"), need.compute_bytes, "success"),
            _Part(self.tr("pictures"), need.projector_bytes, "muted"),
            _Part(self.tr("draft model"), need.draft_bytes, "text"),
        )
        return tuple(part for part in parts if part.size_bytes)


class _Device(QWidget):
    def __init__(self, need: DeviceNeed, parts: tuple[_Part, ...], name: str) -> None:
        super().__init__()
        free = max(0, need.free_bytes - need.total_bytes)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.TIGHT)
        head = QHBoxLayout()
        head.addWidget(label(name, "caption"))
        head.addStretch()
        head.addWidget(
            label(self.tr("{0} of {1} free").format(memory_text(need.total_bytes), memory_text(need.free_bytes)), "caption")
        )
        column.addLayout(head)
        column.addWidget(_Bar(parts, max(need.free_bytes, need.total_bytes)))
        legend = QWidget()
        words = FlowLayout(legend, gap=Theme.PAD)
        spoken = [self.tr("{0} {1}").format(part.name, memory_text(part.size_bytes)) for part in parts]
        for part, text in zip(parts, spoken, strict=True):
            words.addWidget(_Key(part, text))
        column.addWidget(legend)
        self.setAccessibleName(self.tr("{0}: {1}; left {2}").format(name, ", ".join(spoken), memory_text(free)))


class _Key(QWidget):
    """A spot of colour and what it stands for."""

    def __init__(self, part: _Part, text: str) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(Theme.TIGHT)
        row.addWidget(_Spot(part.colour), 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(label(text, "caption"))


class _Spot(QWidget):
    def __init__(self, colour: str) -> None:
        super().__init__()
        self._colour = colour
        self.setFixedSize(8, 8)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_colour(self._colour))
        painter.drawEllipse(self.rect())
        painter.end()


class _Bar(QWidget):
    def __init__(self, parts: tuple[_Part, ...], whole_bytes: int) -> None:
        super().__init__()
        self._parts = parts
        self._whole = max(1, whole_bytes)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(120, _HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = Theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        field = QRectF(self.rect())
        painter.setBrush(theme.hover)
        painter.drawRoundedRect(field, 4, 4)
        at = 0.0
        for part in self._parts:
            width = field.width() * part.size_bytes / self._whole
            painter.setBrush(_colour(part.colour))
            painter.drawRect(QRectF(at, 0, max(1.0, width), field.height()))
            at += width
        painter.end()


def _colour(name: str) -> QColor:
    colour: QColor = getattr(Theme.current(), name)
    return colour
