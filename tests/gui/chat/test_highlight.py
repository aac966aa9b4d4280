from __future__ import annotations

import pytest
from pygments.token import Comment, Keyword, Number, String
from PySide6.QtGui import QColor, QTextDocument
from pytestqt.qtbot import QtBot

from app.gui.chat.highlight import CodeHighlighter, lexer_for, line_spans
from app.gui.theme import Theme, contrast


def colours(document: QTextDocument, line: int) -> list[str]:
    layout = document.findBlockByNumber(line).layout()
    return [span.format.foreground().color().name() for span in layout.formats()]  # type: ignore[attr-defined]


def test_words_are_found_with_their_kind_and_place() -> None:
    lexer = lexer_for("Python")
    assert lexer is not None
    spans = line_spans(lexer, "def f():\n    return 'ä😀', 1  # why\n")
    assert (spans[0][0].start, spans[0][0].length) == (0, 3)
    kinds = [span.kind for span in spans[1]]
    assert any(kind in Keyword for kind in kinds)
    assert any(kind in String for kind in kinds)
    number = next(span for span in spans[1] if span.kind in Number)
    assert number.start == len("    return 'ä😀', ") + 1, "Qt counts the face as two"
    assert any(kind in Comment for kind in kinds)


def test_an_unknown_language_has_no_lexer() -> None:
    assert lexer_for("klingon") is None
    assert lexer_for("") is None


def test_a_string_over_several_lines_is_right_once_the_text_is_finished(qtbot: QtBot) -> None:
    document = QTextDocument('"""\nfor\n"""')
    highlighter = CodeHighlighter(document, "python")
    highlighter.rehighlight()
    keyword = colours(document, 1)
    highlighter.finish()
    assert colours(document, 1) != keyword
    assert colours(document, 1) == colours(document, 0)


@pytest.mark.parametrize("code", ["def f(): return 'x' # y", "@d\nclass A: n = 1 and print()"])
def test_every_colour_can_be_read_on_the_code_background(qtbot: QtBot, code: str) -> None:
    document = QTextDocument(code)
    CodeHighlighter(document, "python").finish()
    sunken = Theme.current().sunken
    found = [colour for line in range(document.blockCount()) for colour in colours(document, line)]
    assert found
    assert all(contrast(QColor(colour), sunken) >= 4.5 for colour in found)
