from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QMenu, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from app.chats import Conversation
from app.domain.messages import Role
from app.gui.chat.conversation_list import ConversationList
from app.gui.chat.exchange import Exchange, FileKind
from tests.gui.chat.conftest import Bench
from tests.gui.stand_ins import StandInDesktop


@pytest.fixture
def desktop(tmp_path: Path) -> StandInDesktop:
    made = StandInDesktop()
    made.file = tmp_path / "file"
    return made


@pytest.fixture
def exchange(bench: Bench, desktop: StandInDesktop, qtbot: QtBot) -> Exchange:
    parent = QWidget()
    qtbot.addWidget(parent)
    return Exchange(bench.services, bench.bridge, desktop, parent)


@pytest.fixture
def talk(bench: Bench) -> Conversation:
    conversation: Conversation = bench.run(bench.services.conversations.create(model="ember", title="What/is: this?"))
    bench.run(bench.services.conversations.send(conversation.id, "Tell me about **lighthouses**"))
    return conversation


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        (FileKind.MARKDOWN, b"# What/is: this?\n\n## You\n\nTell me about **lighthouses**"),
        (FileKind.HTML, b"<!DOCTYPE html>"),
        (FileKind.PDF, b"%PDF-"),
        (FileKind.JSON, b'{\n "format": "hearth-conversations"'),
    ],
)
def test_a_chat_is_saved_in_every_kind_of_file(
    exchange: Exchange, talk: Conversation, desktop: StandInDesktop, qtbot: QtBot, kind: FileKind, begins: bytes
) -> None:
    assert desktop.file is not None
    with qtbot.waitSignal(exchange.said) as told:
        exchange.save(talk, kind)
    assert desktop.file.read_bytes().startswith(begins)
    assert desktop.asked == [f"What is this{kind.value}"]
    assert told.args == ["Saved as file"]


def test_whoever_backs_out_gets_no_file(
    exchange: Exchange, talk: Conversation, desktop: StandInDesktop, tmp_path: Path
) -> None:
    desktop.file = None
    exchange.save(talk, FileKind.MARKDOWN)
    exchange.save_all()
    exchange.bring_in()
    assert [each.name for each in tmp_path.glob("file*")] == []


def test_a_file_that_can_not_be_written_is_told(
    exchange: Exchange, talk: Conversation, desktop: StandInDesktop, tmp_path: Path, qtbot: QtBot
) -> None:
    for kind in FileKind:
        desktop.file = tmp_path / "nowhere" / "file"
        with qtbot.waitSignal(exchange.said) as told:
            exchange.save(talk, kind)
        assert told.args is not None
        assert "can't be" in told.args[0], kind


def test_everything_goes_out_and_comes_in_again(
    exchange: Exchange, talk: Conversation, bench: Bench, desktop: StandInDesktop, qtbot: QtBot
) -> None:
    assert desktop.file is not None
    with qtbot.waitSignal(exchange.said):
        exchange.save_all()
    assert len(json.loads(desktop.file.read_text("utf-8"))["conversations"]) == 1
    with qtbot.waitSignal(exchange.said) as told:
        exchange.bring_in()
    assert told.args == ["1 chat was here already."]
    body = json.loads(desktop.file.read_text("utf-8"))
    body["conversations"][0]["id"] = "b" * 32
    body["conversations"][0]["messages"][0]["id"] = "c" * 32
    desktop.file.write_text(json.dumps(body), "utf-8")
    with qtbot.waitSignal(exchange.said) as told:
        exchange.bring_in()
    assert told.args == ["1 chat imported."]
    messages = bench.run(bench.services.conversations.read("b" * 32)).messages
    assert [(message.role, message.text) for message in messages] == [(Role.USER, "Tell me about **lighthouses**")]


def test_a_file_without_chats_is_told(exchange: Exchange, desktop: StandInDesktop, qtbot: QtBot) -> None:
    assert desktop.file is not None
    desktop.file.write_text("no")
    with qtbot.waitSignal(exchange.said) as told:
        exchange.bring_in()
    assert told.args is not None
    assert "ChatGPT" in told.args[0]


def test_the_list_offers_both_and_says_how_it_went(
    bench: Bench, desktop: StandInDesktop, talk: Conversation, qtbot: QtBot
) -> None:
    made = ConversationList(bench.services, bench.bridge, desktop=desktop)
    qtbot.addWidget(made)
    made.show()
    button = next(each for each in made.findChildren(QToolButton) if each.accessibleName() == "Import and export chats")
    actions: list[QAction] = button.menu().actions()
    next(each for each in actions if each.text() == "Export all chats…").trigger()
    qtbot.waitUntil(lambda: any(each.text() == "Saved as file" and each.isVisible() for each in made.findChildren(QLabel)))
    menu = QMenu()
    qtbot.addWidget(menu)
    made._exchange.add_exports(menu, talk)
    kinds = menu.actions()[0].menu()
    assert isinstance(kinds, QMenu)
    assert [each.text() for each in kinds.actions()] == ["Markdown", "Web page", "PDF", "JSON, to import again"]
