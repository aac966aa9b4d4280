"""Small controls the pages share. Every one has an accessible name, because it can't be made without one."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QIcon, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.gui.icons import IconRole, icon
from app.gui.theme import Theme
from app.gui.tooltips import plain_tooltip

__all__ = [
    "Banner",
    "Card",
    "CopyButton",
    "ElidedLabel",
    "EmptyState",
    "Mark",
    "Switch",
    "button",
    "chip",
    "clear",
    "filter_chip",
    "label",
    "line",
    "tool_button",
]

_COPIED_MS = 1500
_ICON = QSize(Theme.ICON, Theme.ICON)
_ICON_AND_GAP = QSize(20, 16)


def label(text: str = "", role: str = "", *, wrap: bool = False) -> QLabel:
    """A text in one of the style sheet's label roles. Plain text always: names and errors come from elsewhere."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setWordWrap(wrap)
    if role:
        made.setProperty("role", role)
    return made


def chip(text: str, role: str = "chip") -> QLabel:
    """A word in a rounded field; role "badge" makes it stand out."""
    made = label(text, role)
    made.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return made


def filter_chip(text: str) -> QPushButton:
    """A word in a rounded field that is switched on and off."""
    made = button(text, kind="filter")
    made.setCheckable(True)
    return made


def clear(layout: QLayout) -> None:
    """Take everything out of a layout, for good."""
    while (item := layout.takeAt(0)) is not None:
        if (widget := item.widget()) is not None:
            widget.hide()
            widget.deleteLater()


def line() -> QFrame:
    made = QFrame()
    made.setProperty("role", "line")
    return made


def button(text: str, icon_name: str = "", *, kind: str = "", name: str = "") -> QPushButton:
    """A button with a text; `name` is for a screen reader where the text alone says too little."""
    made = QPushButton(text)
    made.setAccessibleName(name or text.replace("&", ""))
    if kind:
        made.setProperty("kind", kind)
    if icon_name:
        made.setIcon(icon(icon_name, role=_ICON_ROLES.get(kind, IconRole.TEXT)))
        made.setIconSize(_ICON_AND_GAP)
    return made


def tool_button(icon_name: str, name: str, *, kind: str = "quiet") -> QToolButton:
    """A button that is only an icon; `name` is its tooltip too."""
    made = QToolButton()
    made.setIcon(icon(icon_name, role=_ICON_ROLES.get(kind, IconRole.MUTED)))
    made.setIconSize(_ICON)
    made.setToolTip(plain_tooltip(name))
    made.setAccessibleName(name)
    made.setProperty("kind", kind)
    made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return made


_ICON_ROLES = {"primary": IconRole.ON_ACCENT, "danger": IconRole.ERROR}


class Mark(QWidget):
    """A drawing that only decorates. Unlike a label's pixmap it follows a change of theme."""

    def __init__(self, drawing: QIcon, *, size: int = Theme.ICON, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = drawing
        self.setFixedSize(size, size)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._icon.paint(painter, self.rect())
        painter.end()


class CopyButton(QToolButton):
    """Puts a text on the clipboard and shows for a moment that it did."""

    def __init__(self, text: Callable[[], str], name: str, parent: QWidget | None = None, *, small: bool = False) -> None:
        """`text` is asked for at each click. A small one fits into a line of text."""
        super().__init__(parent)
        self._text = text
        self._name = name
        self.setProperty("kind", "quiet")
        self.setProperty("small", small)
        self.setIconSize(QSize(14, 14) if small else _ICON)
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._timer = QTimer(self, interval=_COPIED_MS, singleShot=True)
        self._timer.timeout.connect(self._rest)
        self.clicked.connect(self._copy)
        self._rest()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text())
        self.setIcon(icon("check", role=IconRole.SUCCESS))
        self.setToolTip(self.tr("Copied"))
        self._timer.start()

    def _rest(self) -> None:
        self.setIcon(icon("copy", role=IconRole.MUTED))
        self.setToolTip(self._name)


class Card(QFrame):
    """A framed group; put things into `body`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(Theme.ROOM, Theme.PAD, Theme.ROOM, Theme.PAD)
        self.body.setSpacing(Theme.GAP)


class Banner(QFrame):
    """A sentence that asks for attention, with at most one thing to do about it. Hidden until told something."""

    acted = Signal()

    def __init__(self, *, problem: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "problem" if problem else "notice")
        self.setAccessibleName(self.tr("Problem") if problem else self.tr("Notice"))
        mark = Mark(icon("warning", role=IconRole.ERROR) if problem else icon("info", role=IconRole.ACCENT))
        self._text = label(wrap=True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding)
        self._action = button(self.tr("Try again"))
        self._action.clicked.connect(self.acted)
        row = QHBoxLayout(self)
        row.setContentsMargins(Theme.PAD, Theme.GAP, Theme.PAD, Theme.GAP)
        row.setSpacing(Theme.PAD)
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._text, 1)
        row.addWidget(self._action, 0, Qt.AlignmentFlag.AlignVCenter)
        self.hide()

    @property
    def text(self) -> str:
        return self._text.text()

    def tell(self, text: str, action: str = "") -> None:
        """Show `text`, and a button if `action` names one; an empty text hides the banner."""
        self._text.setText(text)
        if action:
            self._action.setText(action)
            self._action.setAccessibleName(action)
        self._action.setVisible(bool(action))
        self.setVisible(bool(text))


class EmptyState(QWidget):
    """What a list shows while it has nothing: a drawing, a line, and what to do."""

    def __init__(self, icon_name: str, title: str, hint: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._hint = label(title, "heading"), label(hint, "muted", wrap=True)
        mark = Mark(icon(icon_name, role=IconRole.MUTED), size=40)
        column = QVBoxLayout(self)
        column.setSpacing(Theme.GAP)
        column.addStretch()
        for widget in (mark, self._title):
            column.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
        # As wide as there is room: aligned, a wrapped label would lose its second line.
        self._hint.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._hint)
        column.addStretch()

    @property
    def text(self) -> str:
        return f"{self._title.text()} {self._hint.text()}".strip()

    def tell(self, title: str, hint: str) -> None:
        self._title.setText(title)
        self._hint.setText(hint)


class ElidedLabel(QLabel):
    """One line with … in it where there is no room; the tooltip has all of it."""

    def __init__(
        self,
        text: str = "",
        role: str = "",
        parent: QWidget | None = None,
        *,
        elide: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle,
        fills: bool = True,
    ) -> None:
        """`elide` says where the … goes. One that does not fill its place is no wider than its text."""
        super().__init__(parent)
        self._full = ""
        self._mode = elide
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Ignored if fills else QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.set_full_text(text)

    @property
    def full_text(self) -> str:
        return self._full

    def set_full_text(self, text: str) -> None:
        if text != self._full:
            self._full = text
            self.setAccessibleName(text)
            self._elide()
            self.updateGeometry()

    def sizeHint(self) -> QSize:
        # What is shown may be shorter only because there was no room.
        return QSize(self.fontMetrics().horizontalAdvance(self._full) + 1, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        shown = self.fontMetrics().elidedText(self._full, self._mode, self.width())
        self.setText(shown)
        self.setToolTip(plain_tooltip(self._full) if shown != self._full else "")


class Switch(QAbstractButton):
    """On or off, as a sliding knob. Space toggles it, like any button."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(44, 26)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = Theme.current()
        track = QRectF(self.rect()).adjusted(3, 3, -3, -3)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(theme.accent if self.hasFocus() else Qt.GlobalColor.transparent)
        if self.hasFocus():
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 12, 12)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.accent if self.isChecked() and self.isEnabled() else theme.faint)
        painter.drawRoundedRect(track, track.height() / 2, track.height() / 2)
        knob = track.height() - 4
        left = track.right() - knob - 2 if self.isChecked() else track.left() + 2
        painter.setBrush(theme.on_accent if self.isChecked() else theme.surface)
        painter.drawEllipse(QRectF(left, track.top() + 2, knob, knob))
        painter.end()
