from __future__ import annotations

from PySide6.QtWidgets import QLabel, QPushButton
from pytestqt.qtbot import QtBot

from app.gui.chat.pictures import read_picture_file
from app.gui.chat.welcome import Example, Welcome
from tests.gui.chat.conftest import BLIND, EMBER


def made(qtbot: QtBot) -> Welcome:
    welcome = Welcome()
    qtbot.addWidget(welcome)
    welcome.resize(800, 600)
    welcome.show()
    return welcome


def words(welcome: Welcome) -> str:
    return " ".join(label.text() for label in welcome.findChildren(QLabel))


def cards(welcome: Welcome) -> list[QPushButton]:
    return welcome.findChildren(QPushButton)


def test_ember_introduces_itself_as_what_it_is(qtbot: QtBot) -> None:
    welcome = made(qtbot)
    welcome.show_model(EMBER)
    assert "Hello, I am Ember" in words(welcome)
    assert "tiny model" in words(welcome)
    assert "Models page" in words(welcome)


def test_an_example_carries_its_picture(qtbot: QtBot) -> None:
    welcome = made(qtbot)
    welcome.show_model(EMBER)
    tried: list[Example] = []
    welcome.tried.connect(tried.append)
    for card in cards(welcome):
        card.click()
    assert len(tried) == 4
    pictures = [example.picture for example in tried if example.picture is not None]
    assert len(pictures) == 2
    assert all(read_picture_file(picture) for picture in pictures)


def test_a_model_that_can_not_see_gets_no_pictures_and_no_greeting_of_ember(qtbot: QtBot) -> None:
    welcome = made(qtbot)
    welcome.show_model(BLIND)
    assert "Ember" not in words(welcome)
    assert len(cards(welcome)) == 4
    assert all(card.icon().isNull() for card in cards(welcome))


def test_the_examples_stand_in_one_column_where_there_is_no_room_for_two(qtbot: QtBot) -> None:
    welcome = made(qtbot)
    welcome.show_model(EMBER)
    qtbot.waitUntil(lambda: len({card.x() for card in cards(welcome)}) == 2)
    welcome.resize(430, 500)
    qtbot.waitUntil(lambda: len({card.x() for card in cards(welcome)}) == 1)
    qtbot.waitUntil(lambda: len({card.y() for card in cards(welcome)}) == 4)
    assert welcome.horizontalScrollBar().maximum() == 0
