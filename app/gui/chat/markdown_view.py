"""One text in Markdown, finished or still growing, as a column of native widgets."""

from __future__ import annotations

import time

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.gui.chat.code_view import CodeView
from app.gui.chat.markdown import Block, CodeBlock, MarkdownStream, ProseBlock, TableBlock, parse_blocks
from app.gui.chat.prose_view import ProseView, TableView
from app.gui.theme import Theme

__all__ = ["MarkdownView"]

# Prose is collected in one widget, so that a selection can span paragraphs, up to about a screen of it.
_MOST_PROSE = 4000
# Drawing a growing text takes at most about a quarter of the time.
_REST = 3.0


class MarkdownView(QWidget):
    """Finished blocks stand in widgets that are never written again; the end that still grows has its own."""

    link_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None, *, muted: bool = False) -> None:
        super().__init__(parent)
        self._muted = muted
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(Theme.PAD)
        self._stream = MarkdownStream()
        self._tail: list[QWidget] = []
        self._due = QTimer(self, singleShot=True)
        self._due.timeout.connect(self._draw_if_changed)
        self._changed = False
        self._waiting: tuple[Block, ...] = ()

    @property
    def widget_count(self) -> int:
        return self._column.count()

    def show_text(self, text: str) -> None:
        """Show a whole text."""
        self.clear()
        self._add(parse_blocks(text))

    def add_blocks(self, blocks: tuple[Block, ...]) -> None:
        """Add finished blocks to the end."""
        self._add(blocks)

    def feed(self, text: str) -> None:
        """Add to the end of a growing text."""
        self._waiting += self._stream.feed(text)
        self._changed = True
        if not self._due.isActive():
            self._draw_if_changed()

    def finish(self) -> None:
        """The text is complete: draw what is still missing, and mend what only the whole text shows."""
        if self._changed:
            self._draw_tail()
        self._due.stop()
        if self._tail and isinstance(self._tail[0], ProseView):
            # It belongs to the prose above it, where the whole text would have it.
            self._drop_tail(0)
            self._add(parse_blocks(self._stream.tail_text))
        self._tail = []
        whole = self._stream.reconcile()
        if whole is not None:
            self.clear()
            self._add(whole)

    def clear(self) -> None:
        self._tail = []
        while (item := self._column.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()

    # ------------------------------------------------------------------------------------------------------- private
    def _draw_if_changed(self) -> None:
        if self._changed:
            began = time.perf_counter()
            self._draw_tail()
            self._due.start(round((time.perf_counter() - began) * 1000 * _REST))

    def _draw_tail(self) -> None:
        self._changed = False
        if self._waiting:
            self._settle_tail(self._waiting)
            self._waiting = ()
        blocks = self._stream.tail()
        for index, block in enumerate(blocks):
            if index < len(self._tail) and _fits(self._tail[index], block):
                _show(self._tail[index], block)
            else:
                self._drop_tail(index)
                self._tail.append(self._insert(block))
        self._drop_tail(len(blocks))

    def _settle_tail(self, finished: tuple[Block, ...]) -> None:
        """What was the tail is finished: keep its widget where it can stay, write the rest above the new tail."""
        first, *_ = finished
        if isinstance(first, CodeBlock) and self._tail and _fits(self._tail[0], first):
            _show(self._tail[0], first)
            self._drop_tail(1)
            self._tail = []
            finished = finished[1:]
        else:
            self._drop_tail(0)
        self._add(finished)

    def _drop_tail(self, keep: int) -> None:
        for widget in self._tail[keep:]:
            self._column.removeWidget(widget)
            widget.setParent(None)
            widget.deleteLater()
        del self._tail[keep:]

    def _add(self, blocks: tuple[Block, ...]) -> None:
        prose: list[ProseBlock] = []
        for block in blocks:
            if isinstance(block, ProseBlock):
                prose.append(block)
            else:
                self._add_prose(prose)
                prose = []
                self._insert(block)
        self._add_prose(prose)

    def _add_prose(self, blocks: list[ProseBlock]) -> None:
        while blocks:
            last = self._column.itemAt(self._column.count() - 1)
            view = last.widget() if last is not None else None
            if not isinstance(view, ProseView) or view.length > _MOST_PROSE:
                view = self._new_prose()
            room, length = 0, view.length
            while room < len(blocks) and length <= _MOST_PROSE:
                length += len(blocks[room].source)
                room += 1
            view.add_blocks(tuple(blocks[:room]))
            blocks = blocks[room:]

    def _insert(self, block: Block) -> QWidget:
        view: QWidget
        match block:
            case CodeBlock():
                view = CodeView(block.language)
            case TableBlock():
                table = TableView()
                table.link_wanted.connect(self.link_wanted)
                view = table
            case ProseBlock():
                view = self._new_prose()
        if self._column.indexOf(view) < 0:
            self._column.addWidget(view)
        _show(view, block)
        return view

    def _new_prose(self) -> ProseView:
        view = ProseView(muted=self._muted)
        view.link_wanted.connect(self.link_wanted)
        self._column.addWidget(view)
        return view


def _fits(view: QWidget, block: Block) -> bool:
    match block:
        case CodeBlock():
            return isinstance(view, CodeView) and view.language == block.language
        case TableBlock():
            return isinstance(view, TableView)
        case ProseBlock():
            return isinstance(view, ProseView)


def _show(view: QWidget, block: Block) -> None:
    match view, block:
        case CodeView(), CodeBlock():
            view.show_code(block)
        case TableView(), TableBlock():
            view.show_table(block)
        case ProseView(), ProseBlock():
            view.show_blocks((block,))
