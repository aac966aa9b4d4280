"""Colours for code: Pygments finds what each word is, the theme says how it looks."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound
from PySide6.QtGui import QColor, QSyntaxHighlighter, QTextCharFormat, QTextDocument

from app.gui.theme import Theme

__all__ = ["CodeHighlighter", "Span", "lexer_for", "line_spans"]

_MOST_LINES = 1500

# Kind of word: colour by day, colour by night. Both are at least 4.5 : 1 on the code background.
_COLOURS: tuple[tuple[_TokenType, str, str], ...] = (
    (Comment, "#6b655e", "#9d958b"),
    (Keyword, "#a0331c", "#f0916d"),
    (Name.Builtin, "#7a4a00", "#e3b36a"),
    (Name.Function, "#1f5fa8", "#85b8ee"),
    (Name.Class, "#1f5fa8", "#85b8ee"),
    (Name.Decorator, "#7a4a00", "#e3b36a"),
    (Name.Tag, "#a0331c", "#f0916d"),
    (Name.Attribute, "#7a4a00", "#e3b36a"),
    (String, "#2c6e2f", "#9ccc8f"),
    (Number, "#7b3a93", "#d0a0e4"),
    (Operator.Word, "#a0331c", "#f0916d"),
)


@dataclass(frozen=True, slots=True)
class Span:
    """`length` characters from `start` of a line are of one kind."""

    start: int
    length: int
    kind: _TokenType


def lexer_for(language: str) -> Lexer | None:
    """The lexer for the word after a fence's opening marks."""
    if not language:
        return None
    try:
        return get_lexer_by_name(language.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def line_spans(lexer: Lexer, text: str) -> list[tuple[Span, ...]]:
    """The coloured spans of each line of `text`."""
    lines: list[list[Span]] = [[]]
    column = 0
    for kind, value in lexer.get_tokens(text):
        for index, part in enumerate(value.split("\n")):
            if index:
                lines.append([])
                column = 0
            if part and _colour_index(kind) is not None:
                lines[-1].append(Span(column, _utf16_length(part), kind))
            column += _utf16_length(part)
    return [tuple(line) for line in lines]


class CodeHighlighter(QSyntaxHighlighter):
    """Colours a document line by line: lines being written each by themselves, a finished text exactly. Qt thread."""

    def __init__(self, document: QTextDocument, language: str) -> None:
        super().__init__(document)
        self._lexer = lexer_for(language)
        self._exact: list[tuple[Span, ...]] | None = None
        self._formats = _formats()

    def finish(self) -> None:
        """The text will not change any more: read it as a whole."""
        document = self.document()
        if self._lexer is not None and document is not None and document.blockCount() <= _MOST_LINES:
            self._exact = line_spans(self._lexer, document.toPlainText())
            self.rehighlight()

    def recolour(self) -> None:
        self._formats = _formats()
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        if self._lexer is None or not text:
            return
        number = self.currentBlock().blockNumber()
        if self._exact is not None:
            spans = self._exact[number] if number < len(self._exact) else ()
        elif number <= _MOST_LINES:
            spans = line_spans(self._lexer, text)[0]
        else:
            return
        for span in spans:
            index = _colour_index(span.kind)
            if index is not None:
                self.setFormat(span.start, span.length, self._formats[index])


@functools.lru_cache(maxsize=512)
def _colour_index(kind: _TokenType) -> int | None:
    return next((index for index, (known, _, _) in enumerate(_COLOURS) if kind in known), None)


def _formats() -> list[QTextCharFormat]:
    dark = Theme.current().dark
    formats = []
    for _, day, night in _COLOURS:
        shape = QTextCharFormat()
        shape.setForeground(QColor(night if dark else day))
        formats.append(shape)
    return formats


def _utf16_length(text: str) -> int:
    """Qt counts in UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)
