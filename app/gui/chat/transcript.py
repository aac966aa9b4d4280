"""The conversation as it is read: a column of messages that follows its end while the reader is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QScrollArea, QToolButton, QVBoxLayout, QWidget

from app.chats import StoredMessage
from app.domain.messages import Role
from app.gui.chat.message_view import AnswerView, QuestionView
from app.gui.icons import IconRole, icon
from app.gui.theme import Theme

__all__ = ["COLUMN_WIDTH", "Transcript"]

COLUMN_WIDTH = 760
_PAGE_BLOCKS = 150
_FIRST_BLOCKS = 24
_BLOCKS_AT_ONCE = 8
_NEAR_PX = 24
_ABOVE_PX = 40
_BAR_PX = 10  # as the style sheet says


class Transcript(QScrollArea):
    """At the opening of a conversation `page_blocks` blocks are live; earlier ones come a page at a time.

    `again` and `chosen` carry the id of a message; `picture_wanted` a sha256 and the thumbnail to fill.
    """

    again = Signal(object)
    chosen = Signal(str)
    link_wanted = Signal(str)
    picture_wanted = Signal(str, object)

    def __init__(
        self, model_name: Callable[[str], str], parent: QWidget | None = None, *, page_blocks: int = _PAGE_BLOCKS
    ) -> None:
        super().__init__(parent)
        self._model_name = model_name
        self._earlier: list[StoredMessage] = []
        self._page_blocks = page_blocks
        self._room = 0
        self._anchor: tuple[QWidget, int] | None = None
        """What is being read, and how far below the upper edge it is, while earlier messages are put above."""
        self._moving = False
        self._following = True
        self._filling = QTimer(self, singleShot=True, interval=0)
        self._filling.timeout.connect(self._fill)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(self.tr("Conversation"))

        self._show_earlier = QPushButton(self.tr("Show earlier messages"))
        self._show_earlier.setProperty("kind", "quiet")
        self._show_earlier.clicked.connect(self._page_back)
        self._column = QVBoxLayout()
        self._column.setSpacing(Theme.WIDE)
        self._column.addWidget(self._show_earlier, alignment=Qt.AlignmentFlag.AlignHCenter)
        self._column.addStretch(1)
        self._page = QWidget()
        self._page.setProperty("role", "page")
        centre = QHBoxLayout(self._page)
        centre.setContentsMargins(Theme.WIDE, Theme.WIDE, Theme.WIDE, Theme.WIDE)
        centre.addStretch(1)
        centre.addLayout(self._column, 1000)
        centre.addStretch(1)
        self._centre = centre
        self.setWidget(self._page)

        self._to_end = QToolButton(self)
        self._to_end.setObjectName("toEnd")
        self._to_end.setIcon(icon("chevron-down", role=IconRole.TEXT))
        self._to_end.setFixedSize(34, 34)
        self._to_end.setAccessibleName(self.tr("Go to the end"))
        self._to_end.setToolTip(self.tr("Go to the end"))
        self._to_end.clicked.connect(self.follow)
        self._to_end.hide()
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(self._look)
        bar.rangeChanged.connect(self._stick)
        self.clear()

    # ---------------------------------------------------------------------------------------------------- what it shows
    @property
    def views(self) -> list[QWidget]:
        """The messages that are live, from the top."""
        items = (self._column.itemAt(index) for index in range(1, self._column.count() - 1))
        return [widget for item in items if item is not None and (widget := item.widget()) is not None]

    @property
    def last_answer(self) -> AnswerView | None:
        views = self.views
        return views[-1] if views and isinstance(views[-1], AnswerView) else None

    @property
    def has_earlier(self) -> bool:
        return bool(self._earlier)

    @property
    def is_following(self) -> bool:
        return self._following

    def clear(self) -> None:
        for view in self.views:
            self._column.removeWidget(view)
            view.hide()
            view.deleteLater()
        self._earlier = []
        self._filling.stop()
        self._show_earlier.hide()
        self.follow()

    def show_messages(self, messages: Sequence[StoredMessage]) -> None:
        """Show a conversation, its end first."""
        self.setUpdatesEnabled(False)
        self.clear()
        self._earlier = list(messages)
        self._page_back()
        self.setUpdatesEnabled(True)
        self.follow()

    def add_question(self, message: StoredMessage) -> None:
        self._add(self._view_of(message))
        self.follow()

    def begin_answer(self) -> AnswerView:
        """An empty answer at the end, to be fed."""
        view = self._new_answer()
        self._add(view)
        self.follow()
        return view

    def remove_after(self, message_id: str) -> None:
        """Take away a message and all that follow, because another is to be shown in their place."""
        found = False
        for view in self.views:
            message = view.message if isinstance(view, QuestionView | AnswerView) else None
            found = found or (message is not None and message.id == message_id)
            if found:
                self._column.removeWidget(view)
                view.hide()
                view.deleteLater()

    def show_message(self, message_id: str) -> None:
        """Bring a message to the top of what is seen, earlier ones too; nothing happens if it is not in the conversation."""
        if any(message.id == message_id for message in self._earlier):
            while self._earlier and self._view_with(message_id) is None:
                self._room = _BLOCKS_AT_ONCE
                self._fill()
        view = self._view_with(message_id)
        if view is not None:
            self._following = False
            self._anchor = (view, _ABOVE_PX)
            self._centre.activate()
            self._stick(0, self.verticalScrollBar().maximum())

    def follow(self) -> None:
        """Go to the end and stay there while it moves."""
        self._following = True
        self._anchor = None
        self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())
        self._to_end.hide()

    # ------------------------------------------------------------------------------------------------------- private
    def _page_back(self) -> None:
        """Make another page of earlier messages live: at once what fits on a screen, the rest when there is time."""
        self._room = self._page_blocks
        self._fill(_FIRST_BLOCKS)

    def _fill(self, blocks: int = _BLOCKS_AT_ONCE) -> None:
        """Put the latest messages that are not shown yet above those that are, without moving what is being read."""
        if not self._following and self._anchor is None:
            self._anchor = self._view_at_top()
        goal = self._room - blocks
        while self._earlier and self._room > max(0, goal):
            view = self._view_of(self._earlier.pop())
            self._column.insertWidget(1, view)
            self._room -= view.block_count
        self._show_earlier.setVisible(bool(self._earlier) and self._room <= 0)
        if self._earlier and self._room > 0:
            self._filling.start()

    def _add(self, view: QWidget) -> None:
        self._column.insertWidget(self._column.count() - 1, view)

    def _view_of(self, message: StoredMessage) -> QuestionView | AnswerView:
        if message.role is not Role.ASSISTANT:
            question = QuestionView(message)
            for sha256, thumbnail in question.pictures:
                self.picture_wanted.emit(sha256, thumbnail)
            return question
        answer = self._new_answer()
        answer.show_message(message, model_name=self._model_name(message.model))
        return answer

    def _new_answer(self) -> AnswerView:
        view = AnswerView()
        view.again.connect(lambda: self.again.emit(view.message))
        view.chosen.connect(self.chosen)
        view.link_wanted.connect(self.link_wanted)
        return view

    def _view_with(self, message_id: str) -> QWidget | None:
        for view in self.views:
            if isinstance(view, QuestionView | AnswerView) and view.message is not None and view.message.id == message_id:
                return view
        return None

    def _view_at_top(self) -> tuple[QWidget, int] | None:
        top = self.verticalScrollBar().value()
        view = next((view for view in self.views if view.geometry().bottom() >= top), None)
        return (view, view.y() - top) if view is not None else None

    def _look(self, value: int) -> None:
        """The view has moved: is the reader still at the end?"""
        if self._moving:
            return
        self._anchor = None
        self._following = value >= self.verticalScrollBar().maximum() - _NEAR_PX
        self._to_end.setVisible(not self._following)

    def _set_margins(self) -> None:
        """The scroll bar takes from the right margin, so that the column stands above the composer with and without it."""
        side = max(Theme.WIDE, (self.width() - COLUMN_WIDTH) // 2)
        bar = _BAR_PX if self.verticalScrollBar().maximum() > 0 else 0
        self._centre.setContentsMargins(side, Theme.WIDE, max(Theme.GAP, side - bar), Theme.WIDE)

    def _stick(self, _low: int, high: int) -> None:
        """The content has another height: stay at the end, or with what is being read."""
        self._set_margins()
        self._moving = True
        if self._following:
            self.verticalScrollBar().setValue(high)
        elif self._anchor is not None:
            view, offset = self._anchor
            self.verticalScrollBar().setValue(view.y() - offset)
        self._moving = False

    def resizeEvent(self, event: QResizeEvent) -> None:
        following = self._following
        self._set_margins()
        super().resizeEvent(event)
        self._to_end.move((self.width() - self._to_end.width()) // 2, self.height() - self._to_end.height() - Theme.PAD)
        if following:
            self.follow()
