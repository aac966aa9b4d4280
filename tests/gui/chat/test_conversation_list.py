from __future__ import annotations

import pytest
from PySide6.QtCore import QAbstractItemModel, Qt
from PySide6.QtWidgets import QLabel, QLineEdit, QListView, QPushButton
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.chats import Conversation
from app.gui.chat.conversation_list import ConversationList
from app.gui.chat.conversation_model import ConversationModel
from tests.gui.chat.conftest import Bench


@pytest.fixture
def made(bench: Bench, qtbot: QtBot) -> ConversationList:
    for title in ("First", "Second", "Third"):
        bench.run(bench.services.conversations.create(model="ember", title=title))
    widget = ConversationList(bench.services, bench.bridge)
    qtbot.addWidget(widget)
    widget.resize(240, 400)
    widget.show()
    qtbot.waitUntil(lambda: widget.model.rowCount() == 3)
    return widget


def titles(model: QAbstractItemModel) -> list[str]:
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def stored(bench: Bench) -> list[str]:
    return [each.title for each in bench.run(bench.services.conversations.list())]


def conversation(bench: Bench, title: str) -> Conversation:
    found: tuple[Conversation, ...] = bench.run(bench.services.conversations.list())
    return next(each for each in found if each.title == title)


def click(qtbot: QtBot, view: QListView, row: int) -> None:
    place = view.visualRect(view.model().index(row, 0)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_the_model_keeps_to_the_rules(made: ConversationList, bench: Bench, qtmodeltester: ModelTester) -> None:
    qtmodeltester.check(made.model)
    made.model.show_conversations(())
    qtmodeltester.check(made.model)


def test_the_latest_chat_is_on_top_and_a_new_one_appears_by_itself(made: ConversationList, bench: Bench, qtbot: QtBot) -> None:
    assert titles(made.model) == ["Third", "Second", "First"]
    bench.run(bench.services.conversations.create(model="ember", title="Fourth"))
    qtbot.waitUntil(lambda: titles(made.model)[0] == "Fourth")


def test_a_click_opens_a_chat_once(made: ConversationList, bench: Bench, qtbot: QtBot) -> None:
    opened: list[str] = []
    made.opened.connect(opened.append)
    click(qtbot, made.view, 1)
    click(qtbot, made.view, 1)
    assert opened == [conversation(bench, "Second").id]


def test_the_open_chat_stays_marked_when_the_list_moves(made: ConversationList, bench: Bench, qtbot: QtBot) -> None:
    opened: list[str] = []
    made.opened.connect(opened.append)
    made.select(conversation(bench, "Second"))
    bench.run(bench.services.conversations.send(conversation(bench, "First").id, "Hello"))
    qtbot.waitUntil(lambda: titles(made.model)[0] == "First")
    assert made.view.currentIndex().data() == "Second"
    made.select(None)
    assert not made.view.currentIndex().isValid()
    assert opened == []


def test_del_deletes_and_undo_brings_back(made: ConversationList, bench: Bench, qtbot: QtBot) -> None:
    click(qtbot, made.view, 0)
    made.view.setFocus()
    made.view.actions()[0].trigger()
    qtbot.waitUntil(lambda: titles(made.model) == ["Second", "First"])
    assert stored(bench) == ["Second", "First"]
    undo = next(each for each in made.findChildren(QPushButton) if each.text() == "Undo")
    qtbot.waitUntil(undo.isVisible)
    with qtbot.waitSignal(made.opened):
        qtbot.mouseClick(undo, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: titles(made.model)[0] == "Third")
    assert not undo.isVisible()


def test_a_title_is_changed_in_place(made: ConversationList, bench: Bench, qtbot: QtBot) -> None:
    click(qtbot, made.view, 2)
    made.view.edit(made.view.currentIndex())
    (editor,) = made.view.findChildren(QLineEdit)
    editor.setText("Renamed")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "Renamed" in titles(made.model))
    assert "First" not in stored(bench)


def test_an_empty_or_unchanged_title_changes_nothing(made: ConversationList) -> None:
    told: list[str] = []
    made.model.renamed.connect(lambda _, title: told.append(title))
    index = made.model.index(0)
    assert not made.model.setData(index, "   ")
    assert not made.model.setData(index, "Third")
    assert told == []


def test_a_chat_without_words_has_a_name_of_its_own(qtbot: QtBot, bench: Bench) -> None:
    model = ConversationModel()
    model.show_conversations((bench.run(bench.services.conversations.create(model="ember")),))
    assert titles(model) == ["Untitled chat"]


def say(bench: Bench, title: str, *texts: str) -> None:
    for text in texts:
        bench.run(bench.services.conversations.send(conversation(bench, title).id, text))


def test_typing_finds_titles_and_words_in_messages(made: ConversationList, bench: Bench, qtbot: QtBot) -> None:
    say(bench, "First", "How does a lighthouse work?")
    made.field.setFocus()
    qtbot.keyClicks(made.field, "lighth")
    qtbot.waitUntil(made.results.isVisible)
    assert titles(made.results.results) == ["First"]
    made.field.setText("secon")
    qtbot.waitUntil(lambda: titles(made.results.results) == ["Second"])
    qtbot.keyClick(made.field, Qt.Key.Key_Escape)
    assert made.field.text() == ""
    assert made.view.isVisible()


def test_what_was_found_is_opened_at_its_message_by_a_click_or_return(
    made: ConversationList, bench: Bench, qtbot: QtBot
) -> None:
    say(bench, "First", "How does a lighthouse work?")
    message = bench.run(bench.services.conversations.read(conversation(bench, "First").id)).messages[-1]
    with qtbot.waitSignal(made.found) as opened:
        qtbot.keyClicks(made.field, "lighthouse")
        qtbot.keyClick(made.field, Qt.Key.Key_Return)
    assert opened.args == [message.id]
    qtbot.waitUntil(made.results.isVisible)
    with qtbot.waitSignal(made.found) as opened:
        click(qtbot, made.results, 0)
    assert opened.args == [message.id]
    made.field.setText("third")
    qtbot.waitUntil(lambda: titles(made.results.results) == ["Third"])
    with qtbot.waitSignal(made.opened) as by_title:
        qtbot.keyClick(made.field, Qt.Key.Key_Return)
    assert by_title.args == [conversation(bench, "Third").id]


def test_nothing_found_is_said(made: ConversationList, qtbot: QtBot) -> None:
    qtbot.keyClicks(made.field, "nowhere")
    qtbot.waitUntil(lambda: any(each.isVisible() and "Nothing" in each.text() for each in made.findChildren(QLabel)))
    assert not made.results.isVisible()


def test_the_results_keep_to_the_rules(made: ConversationList, bench: Bench, qtmodeltester: ModelTester) -> None:
    made.results.results.show_hits(bench.run(bench.services.conversations.search("i")))
    assert titles(made.results.results) == ["Third", "First"]
    qtmodeltester.check(made.results.results)
