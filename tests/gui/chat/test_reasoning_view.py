from __future__ import annotations

from PySide6.QtWidgets import QTextBrowser, QToolButton
from pytestqt.qtbot import QtBot

from app.gui.chat.reasoning_view import ReasoningView


def fold_of(view: ReasoningView) -> QToolButton:
    return next(each for each in view.findChildren(QToolButton) if each.objectName() == "fold")


def shown(view: ReasoningView) -> str:
    return "\n".join(each.toPlainText() for each in view.markdown.findChildren(QTextBrowser))


def test_a_growing_thought_is_drawn_only_once_it_is_opened(qtbot: QtBot) -> None:
    view = ReasoningView()
    qtbot.addWidget(view)
    view.feed("First ")
    view.feed("thought.")
    assert shown(view) == ""
    assert "Thinking" in fold_of(view).text()
    fold_of(view).click()
    view.feed(" Second.")
    view.finish()
    assert shown(view) == "First thought. Second."
    assert fold_of(view).text() == "Thoughts"


def test_a_kept_thought_is_closed_at_first_and_opens_whole(qtbot: QtBot) -> None:
    view = ReasoningView()
    qtbot.addWidget(view)
    view.show_text("Seven times eight.")
    assert not view.markdown.isVisibleTo(view)
    fold_of(view).click()
    assert shown(view) == "Seven times eight."
    fold_of(view).click()
    fold_of(view).click()
    assert shown(view) == "Seven times eight."
