"""A word or two in a rounded field, painted into the rows of lists and tables."""

from __future__ import annotations

import enum

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter

from app.gui.theme import Theme

__all__ = ["Tone", "paint_pill", "pill_width"]

_SIDE = 8
_RADIUS = 8


class Tone(enum.Enum):
    GOOD = enum.auto()
    FAIR = enum.auto()
    BAD = enum.auto()
    ACCENT = enum.auto()
    PLAIN = enum.auto()

    def colours(self, theme: Theme) -> tuple[QColor, QColor]:
        """Of the words, and of the field."""
        return {
            Tone.GOOD: (theme.success, theme.success_soft),
            Tone.FAIR: (theme.warning, theme.warning_soft),
            Tone.BAD: (theme.error, theme.error_soft),
            Tone.ACCENT: (theme.on_accent, theme.accent),
            Tone.PLAIN: (theme.muted, theme.hover),
        }[self]


def pill_width(text: str, font: QFont) -> int:
    # What is drawn can be a fraction of a pixel wider than Qt says.
    return QFontMetrics(font).horizontalAdvance(text) + 2 + 2 * _SIDE


def paint_pill(
    painter: QPainter, left: int, middle: int, text: str, tone: Tone, *, font: QFont, chosen: bool = False, most: int = 10_000
) -> int:
    """Paint it around the height `middle`, `most` wide at most; return where it ends. A `chosen` row has its own colour."""
    theme = Theme.current()
    ink, ground = tone.colours(theme)
    if chosen and tone is not Tone.ACCENT:
        ground = theme.surface
    metrics = QFontMetrics(font)
    width = min(pill_width(text, font), most)
    height = metrics.height() + 2
    field = QRect(left, middle - height // 2, width, height)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawRoundedRect(field, _RADIUS, _RADIUS)
    painter.setPen(ink)
    painter.setFont(font)
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, width - 2 * _SIDE)
    painter.drawText(field, Qt.AlignmentFlag.AlignCenter, shown)
    painter.restore()
    return field.right() + 1
