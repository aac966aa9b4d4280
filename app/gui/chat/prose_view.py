"""A piece of formatted text in the transcript: as tall as its text, selectable, and fetching nothing."""

from __future__ import annotations

import math

from PySide6.QtCore import QByteArray, QEvent, QRectF, QSizeF, Qt, QUrl, Signal
from PySide6.QtGui import (
    QAbstractTextDocumentLayout,
    QPainter,
    QPaintEvent,
    QTextBlock,
    QTextCursor,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QTextBrowser, QWidget

from app.gui.chat.markdown import ProseBlock, TableBlock
from app.gui.chat.prose_writer import BlockProperty, ProseWriter
from app.gui.theme import Theme

__all__ = ["PlainView", "ProseView", "TableView"]


class _DocumentView(QTextBrowser):
    """Read-only text that is as tall as its document. `link_wanted` carries a link a person clicked."""

    link_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = Theme.current()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.DefaultContextMenu)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(0)
        self.document().setIndentWidth(24)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self.anchorClicked.connect(lambda url: self.link_wanted.emit(url.toString()))

    def loadResource(self, kind: int, name: QUrl | str) -> object:
        """Nothing a model writes is ever fetched, from the network or from the disk.

        An answer that is empty, not None: for None the document would look for a file by itself.
        """
        return QByteArray()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The transcript scrolls, not this."""
        event.ignore()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        # A palette changes for many reasons, such as a style sheet of a parent; only another theme has other colours.
        if event.type() == QEvent.Type.PaletteChange and (theme := Theme.current()) != self._theme:
            self._theme = theme
            self._recolour()

    def _recolour(self) -> None:
        """Colours are part of the formats, so a change of theme writes the text again."""

    def _fit(self, size: QSizeF) -> None:
        self.setFixedHeight(max(1, math.ceil(size.height())))


class PlainView(_DocumentView):
    """Text exactly as a person typed it."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setPlainText(text)

    def ideal_width(self) -> int:
        """The width its longest line wants."""
        return math.ceil(self.document().idealWidth()) + 1

    def natural_width(self, most: int) -> int:
        """The width to give it, `most` at most, so that lines break only where they must."""
        copy = self.document().clone()
        copy.setTextWidth(most)
        return min(most, math.ceil(copy.idealWidth()) + 2)


class ProseView(_DocumentView):
    """Paragraphs, headings, lists, quotes. Blocks are added at the end; `show_blocks` replaces them all (a short tail only)."""

    def __init__(self, parent: QWidget | None = None, *, muted: bool = False) -> None:
        super().__init__(parent)
        self._muted = muted
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self._blocks: list[ProseBlock] = []
        self._length = 0

    @property
    def length(self) -> int:
        """Characters of source in it."""
        return self._length

    def add_blocks(self, blocks: tuple[ProseBlock, ...]) -> None:
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.beginEditBlock()
        writer = ProseWriter(cursor, Theme.current(), is_empty=not self._blocks, muted=self._muted)
        for block in blocks:
            writer.write(block.tokens)
            self._length += len(block.source)
        cursor.endEditBlock()
        self._blocks += blocks

    def show_blocks(self, blocks: tuple[ProseBlock, ...]) -> None:
        self._blocks, self._length = [], 0
        self.document().clear()
        self.add_blocks(blocks)

    def _recolour(self) -> None:
        if self._blocks:
            self.show_blocks(tuple(self._blocks))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self.viewport())
        layout = self.document().documentLayout()
        block = self.document().begin()
        while block.isValid():
            self._paint_beside(painter, layout, block)
            block = block.next()

    def _paint_beside(self, painter: QPainter, layout: QAbstractTextDocumentLayout, block: QTextBlock) -> None:
        shape = block.blockFormat()
        theme = Theme.current()
        depth = shape.intProperty(BlockProperty.QUOTE_DEPTH)
        if depth:
            box = layout.blockBoundingRect(block)
            above = block.previous()
            joined = above.isValid() and above.blockFormat().intProperty(BlockProperty.QUOTE_DEPTH)
            top = layout.blockBoundingRect(above).bottom() if joined else box.top()
            for level in range(depth):
                painter.fillRect(QRectF(level * 18, top, 3, box.bottom() - top), theme.border)
        if shape.boolProperty(BlockProperty.RULE):
            box = layout.blockBoundingRect(block)
            painter.fillRect(QRectF(0, box.center().y(), self.viewport().width(), 1), theme.border)


class TableView(_DocumentView):
    """A table, which may be wider than the page: then it scrolls sideways by itself."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self._block: TableBlock | None = None

    def show_table(self, block: TableBlock) -> None:
        self._block = block
        self.document().clear()
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        ProseWriter(cursor, Theme.current(), is_empty=True).write_table(block.tokens)
        cursor.endEditBlock()
        self._fit(self.document().size())

    def wheelEvent(self, event: QWheelEvent) -> None:
        _scroll_sideways_only(self, event)

    def _recolour(self) -> None:
        if self._block is not None:
            self.show_table(self._block)

    def _fit(self, size: QSizeF) -> None:
        bar = self.horizontalScrollBar()
        super()._fit(QSizeF(size.width(), size.height() + (bar.sizeHint().height() if bar.maximum() > 0 else 0)))


def _scroll_sideways_only(view: QTextBrowser, event: QWheelEvent) -> None:
    if abs(event.angleDelta().x()) > abs(event.angleDelta().y()):
        bar = view.horizontalScrollBar()
        bar.setValue(bar.value() - event.angleDelta().x())
        event.accept()
    else:
        event.ignore()
