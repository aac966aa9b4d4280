from __future__ import annotations

import pytest
from PySide6.QtGui import QTextBlock, QTextCharFormat, QTextCursor, QTextDocument, QTextListFormat, QTextTable
from pytestqt.qtbot import QtBot

from app.gui.chat.markdown import ProseBlock, TableBlock, parse_blocks
from app.gui.chat.prose_writer import BlockProperty, ProseWriter, is_web_address
from app.gui.theme import Theme


@pytest.fixture
def document(qtbot: QtBot) -> QTextDocument:
    return QTextDocument()


def write(document: QTextDocument, text: str) -> list[QTextBlock]:
    writer = ProseWriter(QTextCursor(document), Theme.current(), is_empty=True)
    for block in parse_blocks(text):
        if isinstance(block, ProseBlock):
            writer.write(block.tokens)
        elif isinstance(block, TableBlock):
            writer.write_table(block.tokens)
    blocks = [document.begin()]
    while blocks[-1].next().isValid():
        blocks.append(blocks[-1].next())
    return blocks


def formats(block: QTextBlock) -> dict[str, QTextCharFormat]:
    found = {}
    iterator = block.begin()
    while not iterator.atEnd():
        found[iterator.fragment().text()] = iterator.fragment().charFormat()
        iterator += 1
    return found


def test_emphasis_is_nested(document: QTextDocument) -> None:
    (block,) = write(document, "a **b *c*** ~~d~~ `e`")
    found = formats(block)
    assert found["b "].fontWeight() > found["a "].fontWeight()
    assert found["c"].fontItalic()
    assert found["c"].fontWeight() == found["b "].fontWeight()
    assert found["d"].fontStrikeOut()
    assert found["e"].fontFixedPitch()
    assert found["e"].background().color() == Theme.current().sunken


def test_lists_are_lists_with_their_first_number_and_depth(document: QTextDocument) -> None:
    blocks = write(document, "3. one\n4. two\n   - deep\n\n     more\n5. three\n")
    styles = [each.textList().format().style() if each.textList() else None for each in blocks]
    decimal, circle = QTextListFormat.Style.ListDecimal, QTextListFormat.Style.ListCircle
    assert styles == [decimal, decimal, circle, None, decimal]
    assert blocks[0].textList().format().start() == 3
    assert blocks[4].textList() == blocks[0].textList()
    assert blocks[3].blockFormat().indent() == 2


def test_headings_differ_by_size_and_say_their_level(document: QTextDocument) -> None:
    one, two, text = write(document, "# One\n\n## Two\n\nText")
    sizes = [next(iter(formats(block).values())).fontPointSize() for block in (one, two)]
    assert sizes[0] > sizes[1] > Theme.current().body_pt
    assert [block.blockFormat().headingLevel() for block in (one, two, text)] == [1, 2, 0]


def test_quotes_and_rules_are_marked_for_painting(document: QTextDocument) -> None:
    outer, inner, rule = write(document, "> a\n>\n> > b\n\n---")
    assert outer.blockFormat().intProperty(BlockProperty.QUOTE_DEPTH) == 1
    assert inner.blockFormat().intProperty(BlockProperty.QUOTE_DEPTH) == 2
    assert rule.blockFormat().boolProperty(BlockProperty.RULE)


def test_a_table_keeps_its_cells_and_their_alignment(document: QTextDocument) -> None:
    write(document, "| a | b |\n|---|--:|\n| **1** | 2 |\n")
    table = next(frame for frame in document.rootFrame().childFrames() if isinstance(frame, QTextTable))
    assert (table.rows(), table.columns()) == (2, 2)
    cells = [table.cellAt(row, column).firstCursorPosition().block() for row in (0, 1) for column in (0, 1)]
    assert [cell.text() for cell in cells] == ["a", "b", "1", "2"]
    assert cells[3].blockFormat().alignment() != cells[2].blockFormat().alignment()


def test_code_inside_a_list_keeps_its_lines(document: QTextDocument) -> None:
    blocks = write(document, "- run\n  ```\n  a\n  b\n  ```\n")
    assert [block.text() for block in blocks] == ["run", "a\u2028b"]


def test_a_line_break_stays_a_line_break(document: QTextDocument) -> None:
    (block,) = write(document, "roses\nviolets")
    assert block.text() == "roses\u2028violets"


@pytest.mark.parametrize(
    ("address", "is_web"),
    [("https://a.b", True), ("HTTP://a.b", True), ("javascript:x", False), ("file:///a", False), ("", False)],
)
def test_only_http_counts_as_web(address: str, is_web: bool) -> None:
    assert is_web_address(address) is is_web
