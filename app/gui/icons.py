"""The icons of the window: own line drawings, painted in the colours of the theme that is on at that moment."""

from __future__ import annotations

import enum
import functools
from pathlib import Path

from PySide6.QtCore import QByteArray, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from app.gui.theme import Theme
from app.paths import resource

__all__ = ["IconRole", "TrayState", "icon", "program_icon", "tray_icon"]

_SIZES = (16, 24, 32, 48, 64, 128, 256, 512)


class IconRole(enum.Enum):
    """Which colour of the theme an icon is painted in; the value is that field's name."""

    TEXT = "text"
    MUTED = "muted"
    ACCENT = "accent"
    ON_ACCENT = "on_accent"
    ERROR = "error"
    WARNING = "warning"
    SUCCESS = "success"


class TrayState(enum.StrEnum):
    STOPPED = "stopped"
    READY = "ready"
    BUSY = "busy"
    ERROR = "error"


def icon(name: str, *, role: IconRole = IconRole.TEXT) -> QIcon:
    """The drawing `name`.svg of the icons folder. It follows a change of theme by itself. Raises FileNotFoundError."""
    return QIcon(_LineEngine(_drawing(name), role))


def program_icon() -> QIcon:
    """The flame in its hearth, in every size a desktop asks for."""
    drawn = QIcon()
    for size in _SIZES:
        drawn.addFile(str(resource("icons", f"hearth-{size}.png")), QSize(size, size))
    return drawn


def tray_icon(state: TrayState) -> QIcon:
    return QIcon(str(_file(f"tray-{state}")))


@functools.cache
def _drawing(name: str) -> bytes:
    # Rows of lists ask for it with each repaint.
    return _file(name).read_bytes()


@functools.lru_cache(maxsize=256)
def _renderer(drawing: bytes, colour: str) -> QSvgRenderer:
    return QSvgRenderer(QByteArray(drawing.replace(b"currentColor", colour.encode())))


def _file(name: str) -> Path:
    return resource("icons", f"{name}.svg")


class _LineEngine(QIconEngine):
    """Paints a drawing in which `currentColor` stands for the theme's colour. Used on the Qt thread.

    In a wide rectangle the drawing keeps to the left: the rest is a gap, which Fusion's buttons lack.
    """

    def __init__(self, drawing: bytes, role: IconRole) -> None:
        super().__init__()
        self._drawing = drawing
        self._role = role

    def clone(self) -> QIconEngine:
        return _LineEngine(self._drawing, self._role)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        side = min(rect.width(), rect.height())
        theme = Theme.current()
        colour: QColor = theme.faint if mode == QIcon.Mode.Disabled else getattr(theme, self._role.value)
        _renderer(self._drawing, colour.name()).render(painter, QRectF(rect.left(), rect.top(), side, rect.height()))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        pixmap = QPixmap(size)
        if pixmap.isNull():
            return pixmap
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(0, 0, size.width(), size.height()), mode, state)
        painter.end()
        return pixmap
