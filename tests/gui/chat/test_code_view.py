from __future__ import annotations

import pytest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QPlainTextEdit
from pytestqt.qtbot import QtBot

from app.gui.chat.code_view import CodeView
from app.gui.chat.look import chat_stylesheet
from app.gui.chat.markdown import CodeBlock
from app.gui.theme import Theme


@pytest.fixture
def view(qtbot: QtBot) -> CodeView:
    made = CodeView("python")
    qtbot.addWidget(made)
    made.setStyleSheet(chat_stylesheet(Theme.current()))
    made.resize(300, 100)
    made.show()
    return made


def edit_of(view: CodeView) -> QPlainTextEdit:
    return view.findChildren(QPlainTextEdit)[0]


def test_it_names_the_language_and_copies_the_code(view: CodeView) -> None:
    view.show_code(CodeBlock("python", "x = 1\n\ny = 2"))
    assert "python" in [label.text() for label in view.findChildren(QLabel)]
    view.findChildren(QAbstractButton)[0].click()
    assert QApplication.clipboard().text() == "x = 1\n\ny = 2"


def test_growing_code_is_appended_and_never_written_again(view: CodeView) -> None:
    changes: list[tuple[int, int]] = []
    view.show_code(CodeBlock("python", "a = 1", closed=False))
    edit_of(view).document().contentsChange.connect(lambda place, removed, added: changes.append((place, removed)))
    view.show_code(CodeBlock("python", "a = 1\nb = 2", closed=False))
    view.show_code(CodeBlock("python", "a = 1\nb = 2\nc = 3", closed=False))
    assert edit_of(view).toPlainText() == "a = 1\nb = 2\nc = 3"
    assert changes == [(5, 0), (11, 0)]


def test_code_that_turns_out_otherwise_is_written_anew(view: CodeView) -> None:
    view.show_code(CodeBlock("python", "a = 1\n  ``", closed=False))
    view.show_code(CodeBlock("python", "a = 1"))
    assert edit_of(view).toPlainText() == "a = 1"


def test_every_line_can_be_seen_and_long_ones_scroll_sideways(view: CodeView, qtbot: QtBot) -> None:
    view.show_code(CodeBlock("python", "\n".join(f"line_{number} = {number}" for number in range(12))))
    qtbot.waitUntil(lambda: edit_of(view).verticalScrollBar().maximum() == 0)
    assert edit_of(view).horizontalScrollBar().maximum() == 0
    short = edit_of(view).height()
    view.show_code(CodeBlock("python", "\n".join("x" * 500 for _ in range(12))))
    qtbot.waitUntil(lambda: edit_of(view).horizontalScrollBar().maximum() > 0)
    qtbot.waitUntil(lambda: edit_of(view).height() > short)
    assert edit_of(view).verticalScrollBar().maximum() == 0
