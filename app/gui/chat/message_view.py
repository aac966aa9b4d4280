"""The turns of a conversation as widgets: what a person said, and what a model answered."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.chats import MessageState, StoredMessage
from app.domain.generation import FinishReason, GenerationEvent, PrefillProgress, ReasoningDelta, TextDelta
from app.gui.chat.markdown_view import MarkdownView
from app.gui.chat.prose_view import PlainView
from app.gui.chat.reasoning_view import ReasoningView
from app.gui.chat.thumbnails import Thumbnail
from app.gui.controls import CopyButton, Mark, button, label, tool_button
from app.gui.icons import IconRole, icon
from app.gui.theme import Theme
from app.gui.tooltips import plain_tooltip

__all__ = ["AnswerView", "QuestionView"]

_PICTURE = 220


class QuestionView(QWidget):
    """What a person said, at the right; `pictures` are waiting for their bytes, by sha256."""

    def __init__(self, message: StoredMessage, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message = message
        self.pictures: list[tuple[str, Thumbnail]] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(Theme.GAP)
        if message.attachments:
            column.addLayout(self._picture_row())
        self._bubble: QFrame | None = None
        if message.text:
            self._text = PlainView(message.text)
            self._text.setAccessibleName(self.tr("You said"))
            self._bubble = QFrame()
            self._bubble.setObjectName("bubble")
            inner = QVBoxLayout(self._bubble)
            inner.setContentsMargins(Theme.ROOM, Theme.PAD - 2, Theme.ROOM, Theme.PAD - 2)
            inner.addWidget(self._text)
            column.addWidget(self._bubble, alignment=Qt.AlignmentFlag.AlignRight)

    @property
    def block_count(self) -> int:
        return 1

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._bubble is not None and event.size().width() != event.oldSize().width():
            most = int(self.width() * 0.82) - 2 * Theme.ROOM
            self._text.setFixedWidth(max(24, self._text.natural_width(most)))

    def _picture_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(Theme.GAP)
        row.addStretch()
        for attachment in self.message.attachments:
            small = Thumbnail(_PICTURE)
            if attachment.name:
                small.setToolTip(plain_tooltip(attachment.name))
            row.addWidget(small, alignment=Qt.AlignmentFlag.AlignBottom)
            self.pictures.append((attachment.sha256, small))
        return row


class AnswerView(QWidget):
    """What a model answered, or is answering. `again` asks for another answer, `chosen` for an alternative by id."""

    again = Signal()
    chosen = Signal(str)
    link_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.message: StoredMessage | None = None
        # Most answers have none of these; a long conversation opens in a fraction of the time without them.
        self._reasoning: ReasoningView | None = None
        self._status: QLabel | None = None
        self._problem: _Problem | None = None
        self._actions: _Actions | None = None
        self._markdown = MarkdownView()
        self._markdown.link_wanted.connect(self.link_wanted)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(Theme.GAP)
        self._column.addWidget(self._markdown)

    @property
    def block_count(self) -> int:
        return max(1, self._markdown.widget_count)

    @property
    def is_growing(self) -> bool:
        return self.message is None

    def show_message(self, message: StoredMessage, *, model_name: str) -> None:
        """Show an answer that is finished, from the store."""
        if message.reasoning:
            self._thoughts().show_text(message.reasoning)
        self._markdown.show_text(message.text)
        self.settle(message, model_name=model_name)

    def feed(self, event: GenerationEvent) -> None:
        """One event of the answer being written."""
        match event:
            case TextDelta(text):
                self.say("")
                self._markdown.feed(text)
            case ReasoningDelta(text):
                self.say("")
                self._thoughts().feed(text)
            case PrefillProgress(done, total, _) if total and done < total:
                self.say(self.tr("Reading… {0} %").format(round(100 * done / total)))
            case _:
                pass

    def say(self, words: str) -> None:
        """What is going on while there is no answer to see."""
        if self._status is None:
            if not words:
                return
            self._status = label("", "muted")
            self._column.insertWidget(self._column.indexOf(self._markdown) + 1, self._status)
        self._status.setText(words)
        self._status.setVisible(bool(words))

    def end(self) -> None:
        """Nothing more will come."""
        self.say("")
        if self._reasoning is not None:
            self._reasoning.finish()
        self._markdown.finish()

    def fail(self, words: str) -> None:
        if self._problem is None:
            self._problem = _Problem()
            self._problem.again.connect(self.again)
            self._column.addWidget(self._problem)
        self._problem.say(words)

    def settle(self, message: StoredMessage, *, model_name: str) -> None:
        """The answer is finished and kept as `message`: offer what can be done with it."""
        self.message = message
        self.say("")
        if message.state is MessageState.FAILED and self._problem is None:
            self.fail(message.error)
        if message.state is MessageState.FAILED and not message.text and len(message.alternatives) < 2:
            return
        self._actions = _Actions(message, model_name)
        self._actions.again.connect(self.again)
        self._actions.chosen.connect(self.chosen)
        self._column.addWidget(self._actions)

    def _thoughts(self) -> ReasoningView:
        if self._reasoning is None:
            self._reasoning = ReasoningView()
            self._reasoning.markdown.link_wanted.connect(self.link_wanted)
            self._column.insertWidget(0, self._reasoning)
        return self._reasoning


class _Problem(QFrame):
    """Why there is no answer, in plain words."""

    again = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "problem")
        mark = Mark(icon("warning", role=IconRole.ERROR))
        self._words = label(wrap=True)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        again = button(self.tr("Try again"))
        again.clicked.connect(self.again)
        row = QHBoxLayout(self)
        row.setContentsMargins(Theme.PAD, Theme.PAD, Theme.PAD, Theme.PAD)
        row.setSpacing(Theme.PAD)
        row.addWidget(mark, alignment=Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words, stretch=1)
        row.addWidget(again)

    def say(self, words: str) -> None:
        self._words.setText(words)


class _Actions(QWidget):
    """Copy, another answer, the alternatives, and how it came about."""

    again = Signal()
    chosen = Signal(str)

    def __init__(self, message: StoredMessage, model_name: str) -> None:
        super().__init__()
        self.setObjectName("actions")
        again = tool_button("refresh", self.tr("Answer again"))
        again.clicked.connect(self.again)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(2)
        if message.text:
            self._row.addWidget(CopyButton(lambda: message.text, self.tr("Copy answer")))
        self._row.addWidget(again)
        if len(message.alternatives) > 1:
            self._add_alternatives(message)
        self._row.addSpacing(Theme.GAP)
        self._row.addWidget(label(" · ".join(self._figures(message, model_name)), "caption"))
        self._row.addStretch()

    def _add_alternatives(self, message: StoredMessage) -> None:
        place, known = message.position, message.alternatives
        before = tool_button("chevron-left", self.tr("Previous answer"))
        before.setEnabled(place > 0)
        before.clicked.connect(lambda: self.chosen.emit(known[place - 1]))
        after = tool_button("chevron-right", self.tr("Next answer"))
        after.setEnabled(place + 1 < len(known))
        after.clicked.connect(lambda: self.chosen.emit(known[place + 1]))
        for part in (before, label(f"{place + 1}/{len(known)}", "caption"), after):
            self._row.addWidget(part)

    def _figures(self, message: StoredMessage, model_name: str) -> list[str]:
        words = [model_name]
        if message.usage and message.timings and message.timings.generation_s > 0:
            speed = message.usage.completion_tokens / message.timings.generation_s
            words.append(self.tr("{0} tokens").format(message.usage.completion_tokens))
            words.append(self.tr("{0} tokens/s").format(f"{speed:.1f}" if speed < 10 else f"{speed:.0f}"))
        if message.state is MessageState.STOPPED:
            words.append(self.tr("stopped"))
        elif message.finish_reason is FinishReason.LENGTH:
            words.append(self.tr("cut off: the context is full"))
        return [word for word in words if word]
