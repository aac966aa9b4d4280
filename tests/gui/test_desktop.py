from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.gui.desktop import Desktop, file_name


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    return made


def answer(pick: Callable[[QMessageBox], None]) -> None:
    """Answer the next dialog as soon as it waits."""

    def act() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        pick(box)

    QTimer.singleShot(0, act)


def press(text: str) -> Callable[[QMessageBox], None]:
    return lambda box: next(each for each in box.findChildren(QPushButton) if each.text() == text).click()


def press_default(box: QMessageBox) -> None:
    box.defaultButton().click()


def confirm(parent: QWidget) -> bool:
    return Desktop().confirm(parent, title="Remove a model", text="Remove it?", details="2 GB are freed.", action="Delete")


def test_only_the_named_action_confirms_and_enter_is_safe(parent: QWidget) -> None:
    answer(press("Delete"))
    assert confirm(parent)
    answer(press_default)
    assert not confirm(parent)
    answer(lambda box: box.reject())
    assert not confirm(parent)


def test_a_choice_is_told_by_its_place_and_backing_out_is_none(parent: QWidget) -> None:
    def ask() -> int | None:
        return Desktop().choose(parent, title="Close", text="Quit?", details="", actions=("Keep running", "Quit"))

    answer(press("Quit"))
    assert ask() == 1
    answer(press_default)
    assert ask() == 0
    answer(lambda box: box.reject())
    assert ask() is None


def test_what_must_not_be_overlooked_waits_until_it_is_read(parent: QWidget) -> None:
    read: list[str] = []

    def take(box: QMessageBox) -> None:
        read.append(box.text())
        assert box.textFormat() is Qt.TextFormat.PlainText
        box.accept()

    answer(take)
    Desktop().tell(parent, title="Hearth", text="It keeps running.")
    assert read == ["It keeps running."]


@pytest.mark.parametrize(
    ("text", "name"), [("What/is: this?", "What is this"), ("acme/tiny:Q4", "acme tiny Q4"), ("..", ""), ("a\0\nb", "a b")]
)
def test_a_name_is_one_that_every_file_system_takes(text: str, name: str) -> None:
    assert file_name(text) == name
