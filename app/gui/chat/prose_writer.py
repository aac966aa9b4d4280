"""Writes Markdown tokens into a QTextDocument, in the colours of the theme. Never by way of HTML."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from markdown_it.token import Token
from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QFont,
    QFontDatabase,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextFormat,
    QTextFrameFormat,
    QTextList,
    QTextListFormat,
    QTextTableCellFormat,
    QTextTableFormat,
)

from app.gui.theme import Theme
from app.gui.tooltips import plain_tooltip

__all__ = ["BlockProperty", "ProseWriter", "is_web_address"]

_LINE_BREAK = "\u2028"
_HEADING_SCALE = {1: 1.45, 2: 1.25, 3: 1.12}
_INDENT = 22.0
_ALIGNMENTS = {"text-align:right": Qt.AlignmentFlag.AlignRight, "text-align:center": Qt.AlignmentFlag.AlignHCenter}


class BlockProperty(enum.IntEnum):
    """What `ProseView` paints beside a block."""

    QUOTE_DEPTH = int(QTextFormat.Property.UserProperty) + 1
    RULE = QUOTE_DEPTH + 1


class _OpenList:
    """A list whose items are being written; Qt makes it with the first of them."""

    def __init__(self, shape: QTextListFormat) -> None:
        self._shape = shape
        self._made: QTextList | None = None

    def take(self, cursor: QTextCursor) -> None:
        if self._made is None:
            self._made = cursor.createList(self._shape)
        else:
            self._made.add(cursor.block())


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the next block goes: inside which lists and quotes."""

    lists: tuple[_OpenList, ...] = ()
    quotes: int = 0
    tight: bool = False


class ProseWriter:
    """Appends to the end of one document. `is_empty` says that its first block is still unused. Qt thread."""

    def __init__(self, cursor: QTextCursor, theme: Theme, *, is_empty: bool, muted: bool = False) -> None:
        self._cursor = cursor
        self._theme = theme
        self._first = is_empty
        self._place = _Place()
        self._outer: list[_Place] = []
        self._pending_item: _OpenList | None = None
        self._heading = 0
        self._plain = QTextCharFormat()
        self._plain.setForeground(theme.muted if muted else theme.text)

    def write(self, tokens: Iterable[Token]) -> None:
        """Write block tokens other than tables."""
        for token in tokens:
            match token.type:
                case "inline":
                    self._start_block()
                    self._inline(token.children or [], self._heading_format())
                case "fence" | "code_block":
                    self._code(token.content)
                case "hr":
                    self._rule()
                case _:
                    self._structure(token)

    def write_table(self, tokens: Iterable[Token]) -> None:
        rows = _table_rows(tokens)
        columns = max(len(row) for row in rows)
        shape = QTextTableFormat()
        shape.setHeaderRowCount(1)
        shape.setCellPadding(0)
        shape.setCellSpacing(0)
        shape.setBorder(0)
        table = self._cursor.insertTable(len(rows), columns, shape)
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                place = table.cellAt(number, column)
                place.setFormat(self._cell_format(header=number == 0))
                self._cursor = place.firstCursorPosition()
                block = QTextBlockFormat()
                block.setAlignment(cell.alignment)
                self._cursor.setBlockFormat(block)
                self._inline(list(cell.inline), _weighted(self._plain, bold=number == 0))

    def _cell_format(self, *, header: bool) -> QTextTableCellFormat:
        shape = QTextTableCellFormat()
        shape.setTopPadding(6)
        shape.setBottomPadding(6)
        shape.setLeftPadding(0)
        shape.setRightPadding(_INDENT)
        shape.setBottomBorder(1)
        shape.setBottomBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
        shape.setBottomBorderBrush(self._theme.muted if header else self._theme.border)
        return shape

    # ------------------------------------------------------------------------------------------------------- private
    def _structure(self, token: Token) -> None:
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                self._enter_list(token)
            case "blockquote_open":
                self._enter(replace(self._place, quotes=self._place.quotes + 1))
            case "bullet_list_close" | "ordered_list_close" | "blockquote_close":
                self._place = self._outer.pop()
            case "list_item_open":
                self._pending_item = self._place.lists[-1]
            case "paragraph_open":
                self._place = replace(self._place, tight=token.hidden)
            case "heading_open":
                self._heading = int(token.tag[1])
            case "heading_close":
                self._heading = 0

    def _enter(self, place: _Place) -> None:
        self._outer.append(self._place)
        self._place = place

    def _enter_list(self, token: Token) -> None:
        depth = len(self._place.lists)
        shape = QTextListFormat()
        if token.type == "ordered_list_open":
            shape.setStyle(QTextListFormat.Style.ListDecimal)
            shape.setStart(int(token.attrGet("start") or 1))
        else:
            styles = (QTextListFormat.Style.ListDisc, QTextListFormat.Style.ListCircle, QTextListFormat.Style.ListSquare)
            shape.setStyle(styles[min(depth, 2)])
        shape.setIndent(depth + 1)
        self._enter(replace(self._place, lists=(*self._place.lists, _OpenList(shape))))

    def _start_block(self) -> None:
        shape = QTextBlockFormat()
        if not self._first:
            space = self._theme.body_pt * (1.3 if self._heading else 0.35 if self._place.tight else 0.8)
            shape.setTopMargin(round(space))
        shape.setLineHeight(122, int(QTextBlockFormat.LineHeightTypes.ProportionalHeight.value))
        if self._heading:
            shape.setHeadingLevel(self._heading)
        if self._place.quotes:
            shape.setProperty(BlockProperty.QUOTE_DEPTH, self._place.quotes)
            shape.setLeftMargin(_INDENT * 0.8 * self._place.quotes)
        if self._place.lists and self._pending_item is None:
            shape.setIndent(len(self._place.lists))
        self._insert(shape)
        if self._pending_item is not None:
            self._pending_item.take(self._cursor)
            self._pending_item = None

    def _insert(self, shape: QTextBlockFormat) -> None:
        if self._first:
            self._cursor.setBlockFormat(shape)
            self._cursor.setBlockCharFormat(self._plain)
            self._first = False
        else:
            self._cursor.insertBlock(shape, self._plain)

    def _heading_format(self) -> QTextCharFormat:
        if not self._heading:
            return self._plain
        shape = _weighted(self._plain, bold=True)
        shape.setFontPointSize(self._theme.body_pt * _HEADING_SCALE.get(self._heading, 1.0))
        return shape

    def _inline(self, tokens: list[Token], base: QTextCharFormat) -> None:
        formats = [base]
        for token in tokens:
            match token.type:
                case "strong_open" | "em_open" | "s_open" | "link_open":
                    formats.append(self._opened(token, formats[-1]))
                case "strong_close" | "em_close" | "s_close" | "link_close":
                    formats.pop()
                case "code_inline":
                    self._cursor.insertText(token.content, self._mono(formats[-1]))
                case "softbreak" | "hardbreak":
                    self._cursor.insertText(_LINE_BREAK, formats[-1])
                case "image":
                    self._cursor.insertText(
                        f"[{token.content or '…'}]", self._link(formats[-1], str(token.attrGet("src") or ""))
                    )
                case _:
                    self._cursor.insertText(token.content, formats[-1])

    def _opened(self, token: Token, outer: QTextCharFormat) -> QTextCharFormat:
        match token.type:
            case "strong_open":
                return _weighted(outer, bold=True)
            case "link_open":
                return self._link(outer, str(token.attrGet("href") or ""))
            case _:
                shape = QTextCharFormat(outer)
                shape.setFontItalic(token.type == "em_open" or outer.fontItalic())
                shape.setFontStrikeOut(token.type == "s_open" or outer.fontStrikeOut())
                return shape

    def _link(self, outer: QTextCharFormat, address: str) -> QTextCharFormat:
        """A link for http and https; anything else stays text."""
        shape = QTextCharFormat(outer)
        if is_web_address(address):
            shape.setAnchor(True)
            shape.setAnchorHref(address)
            shape.setForeground(self._theme.accent)
            shape.setFontUnderline(True)
            shape.setToolTip(plain_tooltip(address))
        return shape

    def _mono(self, outer: QTextCharFormat) -> QTextCharFormat:
        shape = QTextCharFormat(outer)
        shape.setFontFamilies(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).families())
        shape.setFontFixedPitch(True)
        shape.setFontPointSize((outer.fontPointSize() or self._theme.body_pt) * 0.92)
        shape.setBackground(self._theme.sunken)
        return shape

    def _code(self, text: str) -> None:
        """Code inside a list or quote, where no widget of its own can stand."""
        self._pending_item = None
        self._start_block()
        shape = self._mono(self._plain)
        self._cursor.insertText(text.removesuffix("\n").replace("\n", _LINE_BREAK), shape)

    def _rule(self) -> None:
        self._start_block()
        block = self._cursor.blockFormat()
        block.setProperty(BlockProperty.RULE, True)
        self._cursor.setBlockFormat(block)


def is_web_address(address: str) -> bool:
    return address.lower().startswith(("http://", "https://"))


def _weighted(outer: QTextCharFormat, *, bold: bool) -> QTextCharFormat:
    shape = QTextCharFormat(outer)
    if bold:
        shape.setFontWeight(QFont.Weight.DemiBold)
    return shape


@dataclass(frozen=True, slots=True)
class _Cell:
    inline: tuple[Token, ...]
    alignment: Qt.AlignmentFlag


def _table_rows(tokens: Iterable[Token]) -> list[list[_Cell]]:
    rows: list[list[_Cell]] = []
    alignment = Qt.AlignmentFlag.AlignLeft
    for token in tokens:
        match token.type:
            case "tr_open":
                rows.append([])
            case "th_open" | "td_open":
                alignment = _ALIGNMENTS.get(str(token.attrGet("style")), Qt.AlignmentFlag.AlignLeft)
            case "inline":
                rows[-1].append(_Cell(tuple(token.children or ()), alignment))
    return rows
