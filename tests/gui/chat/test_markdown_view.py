from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QUrl
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QWidget
from pytestqt.qtbot import QtBot

from app.gui.chat.code_view import CodeView
from app.gui.chat.look import chat_stylesheet
from app.gui.chat.markdown_view import MarkdownView
from app.gui.chat.prose_view import ProseView, TableView
from app.gui.theme import Theme, apply_theme

TEXT = "One *two*.\n\n- a\n- b\n\n```python\nx = 1\n```\n\n| h |\n|---|\n| c |\n\nEnd of `it`."


@pytest.fixture
def view(qtbot: QtBot) -> MarkdownView:
    made = MarkdownView()
    qtbot.addWidget(made)
    made.setStyleSheet(chat_stylesheet(Theme.current()))
    made.resize(600, 400)
    made.show()
    return made


def parts(view: MarkdownView) -> list[QWidget]:
    column = view.layout()
    assert column is not None
    items = (column.itemAt(index) for index in range(column.count()))
    return [widget for item in items if item is not None and (widget := item.widget()) is not None]


def shown(view: MarkdownView) -> list[str]:
    """The text of each widget."""
    return [
        part.code if isinstance(part, CodeView) else part.toPlainText() if isinstance(part, ProseView | TableView) else ""
        for part in parts(view)
    ]


def test_each_kind_of_block_has_its_widget(view: MarkdownView) -> None:
    view.show_text(TEXT)
    assert [type(part) for part in parts(view)] == [ProseView, CodeView, TableView, ProseView]
    assert shown(view)[0] == "One two.\na\nb"
    assert shown(view)[1] == "x = 1"


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_growing_text_ends_looking_as_the_whole(view: MarkdownView, qtbot: QtBot, size: int) -> None:
    for start in range(0, len(TEXT), size):
        view.feed(TEXT[start : start + size])
    view.finish()
    whole = MarkdownView()
    qtbot.addWidget(whole)
    whole.show_text(TEXT)
    assert "".join(shown(view)).replace("\n", "") == "".join(shown(whole)).replace("\n", "")
    assert shown(view)[-1] == "End of it."


def test_finished_blocks_are_never_written_again(view: MarkdownView, qtbot: QtBot) -> None:
    view.feed("# First\n\nSecond\n\n```c\nint a;\n```\n\nTail")
    prose, code, _tail = parts(view)
    assert isinstance(prose, ProseView)
    assert isinstance(code, CodeView)
    changes: list[object] = []
    prose.document().contentsChanged.connect(lambda: changes.append(prose))
    code.findChildren(QPlainTextEdit)[0].document().contentsChanged.connect(lambda: changes.append(code))
    for word in ("goes ", "on ", "and on."):
        view.feed(word)
    view.finish()
    assert changes == []
    assert shown(view)[-1] == "Tailgoes on and on."


def test_open_code_is_appended_to(view: MarkdownView) -> None:
    view.feed("```python\na = 1\n")
    (before,) = parts(view)
    view.feed("b = 2\n")
    view.feed("```\n")
    view.finish()
    assert parts(view) == [before]
    assert shown(view) == ["a = 1\nb = 2"]


@pytest.mark.parametrize(
    "hostile", ["![x](http://192.0.2.1/a.png)", "![x](file:///etc/passwd)", '<img src="http://192.0.2.1/a.png">']
)
def test_a_hostile_text_fetches_nothing(view: MarkdownView, hostile: str) -> None:
    view.show_text(f"Look: {hostile} <script>alert(1)</script>")
    (prose,) = parts(view)
    assert isinstance(prose, ProseView)
    assert "<script>alert(1)</script>" in prose.toPlainText()
    assert "\ufffc" not in prose.toPlainText(), "an object stands in the text"
    for address in ("http://192.0.2.1/a.png", "file:///etc/passwd"):
        kind = int(QTextDocument.ResourceType.ImageResource.value)
        assert not prose.document().resource(kind, QUrl(address))


def test_only_web_addresses_become_links(view: MarkdownView, qtbot: QtBot) -> None:
    view.show_text("[good](https://example.org) [bad](file:///etc/passwd) [odd](ftp://example.org)")
    (prose,) = parts(view)
    assert isinstance(prose, ProseView)
    anchors = []
    block = prose.document().begin()
    iterator = block.begin()
    while not iterator.atEnd():
        shape = iterator.fragment().charFormat()
        if shape.isAnchor():
            anchors.append(shape.anchorHref())
        iterator += 1
    assert anchors == ["https://example.org"]
    with qtbot.waitSignal(view.link_wanted) as wanted:
        prose.anchorClicked.emit(QUrl(anchors[0]))
    assert wanted.args == ["https://example.org"]
    assert prose.toPlainText() == "good [bad](file:///etc/passwd) odd", "a click leaves the text alone"


def test_a_change_of_theme_keeps_the_text_and_changes_its_colours(view: MarkdownView, qapp: QApplication) -> None:
    view.show_text(TEXT)
    before, texts = parts(view)[0], shown(view)
    assert isinstance(before, ProseView)
    ink = before.document().begin().begin().fragment().charFormat().foreground().color()
    apply_theme(qapp, "dark")
    QApplication.sendEvent(before, QEvent(QEvent.Type.PaletteChange))
    assert shown(view) == texts
    assert before.document().begin().begin().fragment().charFormat().foreground().color() != ink


def test_every_widget_is_as_tall_as_what_it_shows(view: MarkdownView, qtbot: QtBot) -> None:
    view.show_text("word " * 400)
    (prose,) = parts(view)
    assert isinstance(prose, ProseView)
    qtbot.waitUntil(lambda: prose.height() >= prose.document().size().height() > 100)
    wide = prose.height()
    view.resize(300, 400)
    qtbot.waitUntil(lambda: prose.height() > wide)
    assert prose.verticalScrollBar().maximum() == 0
