"""A model card: text that others wrote, shown without fetching anything."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from app.domain.models import RemoteRepository
from app.gui.bridge import Bridge, Task
from app.gui.chat.links import ask_and_open
from app.gui.chat.look import chat_stylesheet
from app.gui.chat.markdown import Block, CodeBlock, TableBlock, parse_blocks
from app.gui.chat.markdown_view import MarkdownView
from app.gui.controls import label
from app.gui.errors import sentence
from app.gui.models.card_text import card_markdown
from app.gui.theme import Theme
from app.service.services import Services

__all__ = ["CardView"]

_COLUMN = 760
# Longer ones are cut: nobody reads on, and every table of theirs takes time to lay out.
_MOST_CHARACTERS = 60_000
_AT_ONCE_CHARACTERS = 1500
_LONG_CHARACTERS = 6000


class CardView(QScrollArea):
    """Parsed on another thread, and laid out piece by piece, so that the window never waits for it."""

    def __init__(self, services: Services, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._bridge = bridge
        self._task: Task | None = None
        self._number = 0
        self._to_come: list[Block] = []
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._add_some)
        self.setWidgetResizable(True)
        self.setAccessibleName(self.tr("Model card"))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view = MarkdownView()
        self.view.link_wanted.connect(lambda address: ask_and_open(self, address))
        self._note = label(role="muted", wrap=True)
        body = QWidget()
        body.setProperty("role", "page")
        column = QVBoxLayout(body)
        column.setContentsMargins(0, Theme.GAP, Theme.PAD, Theme.ROOM)
        column.addWidget(self._note)
        column.addWidget(self.view)
        column.addStretch()
        self.view.setMaximumWidth(_COLUMN)
        self.setWidget(body)
        self._restyle()

    @property
    def note(self) -> str:
        return "" if self._note.isHidden() else self._note.text()

    def read(self, repository: RemoteRepository) -> None:
        """Show the card of a repository in place of the one before."""
        self.clear()
        self._tell(self.tr("Reading…"))
        number, hub = self._number, self._services.hub

        async def read() -> tuple[Block, ...]:
            card = await hub.card(repository)
            base = f"{hub.endpoint}/{repository.id}/blob/main/"
            return await asyncio.to_thread(_blocks, card, base)

        task = self._task = self._bridge.submit(read(), self)
        task.succeeded.connect(lambda blocks: self._show(blocks) if number == self._number else None)
        task.failed.connect(lambda error: self._tell(sentence(error)) if number == self._number else None)
        task.start()

    def clear(self) -> None:
        self._number += 1
        self._timer.stop()
        self._to_come = []
        self.view.clear()
        self._tell("")
        self.verticalScrollBar().setValue(0)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._restyle()

    def _restyle(self) -> None:
        sheet = chat_stylesheet(Theme.current())
        if sheet != self.styleSheet():
            self.setStyleSheet(sheet)

    def _show(self, blocks: tuple[Block, ...]) -> None:
        self._tell("" if blocks else self.tr("This repository has no model card."))
        self._to_come = list(blocks)
        self._timer.start()

    def _add_some(self) -> None:
        """A little more, between other events."""
        some: list[Block] = []
        length = 0
        while self._to_come and length < _AT_ONCE_CHARACTERS:
            block = self._to_come.pop(0)
            some.append(block)
            length += len(getattr(block, "source", "") or getattr(block, "text", ""))
        self.view.add_blocks(tuple(some))
        if not self._to_come:
            self._timer.stop()

    def _tell(self, text: str) -> None:
        self._note.setText(text)
        self._note.setVisible(bool(text))


def _blocks(card: str, base: str) -> tuple[Block, ...]:
    if len(card) > _MOST_CHARACTERS:
        end = card.rfind("\n", 0, _MOST_CHARACTERS)
        card = f"{card[: end if end > 0 else _MOST_CHARACTERS]}\n\n…"
    return tuple(map(_quick_to_draw, parse_blocks(card_markdown(card, base=base))))


def _quick_to_draw(block: Block) -> Block:
    """Of what is long, neither cells nor colours are laid out: that would keep the window waiting."""
    match block:
        case TableBlock(source) if len(source) > _LONG_CHARACTERS:
            return CodeBlock("", source)
        case CodeBlock(_, text) if len(text) > _LONG_CHARACTERS:
            return CodeBlock("", text)
        case _:
            return block
