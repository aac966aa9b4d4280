"""The left side of the window: a new chat, the chats there are, and the way to the pages."""

from __future__ import annotations

import enum

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.gui.controls import Mark, button, label, line
from app.gui.icons import icon, program_icon
from app.gui.theme import Theme

__all__ = ["NavigationButton", "Page", "Sidebar"]


class Page(enum.IntEnum):
    """The pages, in the order of the sidebar and of the shortcuts."""

    CHAT = 0
    MODELS = 1
    SERVER = 2
    SETTINGS = 3


class NavigationButton(QPushButton):
    """A page's name; a dot at the right can say that something goes on there."""

    def __init__(self, text: str, icon_name: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self._mark = ""
        self._text = text
        self.setProperty("kind", "nav")
        self.setCheckable(True)
        # A click opens the page; the keyboard stays with what is written there.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setIcon(icon(icon_name))
        self.setIconSize(QSize(Theme.ICON + 6, Theme.ICON))
        self.set_mark("", "")

    def set_mark(self, colour: str, meaning: str) -> None:
        """Show a dot in a colour of the theme, such as "success"; `meaning` is what it says to a screen reader."""
        name = f"{self._text}, {meaning}" if meaning else self._text
        if (colour, name) != (self._mark, self.accessibleName()):
            self._mark = colour
            self.setAccessibleName(name)
            self.update()

    @property
    def mark(self) -> str:
        return self._mark

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._mark:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(getattr(Theme.current(), self._mark))
        painter.drawEllipse(QRectF(self.width() - 20, self.height() / 2 - 4, 8, 8))
        painter.end()


class Sidebar(QFrame):
    """Holds the list of chats it is given. `page_asked` carries a Page."""

    page_asked = Signal(object)
    new_chat_asked = Signal()

    def __init__(self, conversations: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "sidebar")
        self.new_chat_button = button(self.tr("New chat"), "plus", name=self.tr("Start a new chat"))
        self.new_chat_button.clicked.connect(lambda: self.new_chat_asked.emit())
        self.buttons = {
            Page.CHAT: NavigationButton(self.tr("Chat"), "chat"),
            Page.MODELS: NavigationButton(self.tr("Models"), "models"),
            Page.SERVER: NavigationButton(self.tr("Server"), "server"),
            Page.SETTINGS: NavigationButton(self.tr("Settings"), "settings"),
        }
        group = QButtonGroup(self)
        group.setExclusive(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(Theme.PAD, Theme.PAD, Theme.PAD, Theme.PAD)
        column.setSpacing(Theme.TIGHT)
        column.addLayout(self._head())
        column.addSpacing(Theme.GAP)
        column.addWidget(self.new_chat_button)
        column.addSpacing(Theme.TIGHT)
        column.addWidget(conversations, 1)
        column.addWidget(line())
        column.addSpacing(Theme.TIGHT)
        for page, made in self.buttons.items():
            group.addButton(made, page)
            column.addWidget(made)
        group.idClicked.connect(lambda number: self.page_asked.emit(Page(number)))

    def _head(self) -> QHBoxLayout:
        flame = Mark(program_icon(), size=24)
        row = QHBoxLayout()
        row.setContentsMargins(Theme.TIGHT, 0, 0, 0)
        row.setSpacing(Theme.GAP)
        row.addWidget(flame)
        row.addWidget(label("Hearth", "heading"))
        row.addStretch()
        return row

    def show_page(self, page: Page) -> None:
        self.buttons[page].setChecked(True)
