from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.gui.controls import Banner, CopyButton, ElidedLabel, EmptyState, Switch, button, label, tool_button


def test_the_copy_button_copies_what_is_there_at_that_moment(qtbot: QtBot) -> None:
    texts = ["first", "second"]
    made = CopyButton(lambda: texts.pop(0), "Copy it")
    qtbot.addWidget(made)
    made.click()
    assert QGuiApplication.clipboard().text() == "first"
    assert made.toolTip() == "Copied"
    made.click()
    assert QGuiApplication.clipboard().text() == "second"


def test_a_banner_is_hidden_until_told_something_and_offers_one_action(qtbot: QtBot) -> None:
    banner = Banner()
    qtbot.addWidget(banner)
    assert banner.isHidden()
    banner.tell("The disk is full.", "Try again")
    assert not banner.isHidden()
    with qtbot.waitSignal(banner.acted):
        banner.findChild(QPushButton).click()
    banner.tell("")
    assert banner.isHidden()


def test_a_banner_shows_markup_as_it_is_written(qtbot: QtBot) -> None:
    banner = Banner()
    qtbot.addWidget(banner)
    banner.tell("<b>file</b>.gguf can't be read.")
    assert banner.text == "<b>file</b>.gguf can't be read."
    assert label("<i>x</i>").textFormat() == Qt.TextFormat.PlainText


def test_the_switch_is_worked_by_mouse_and_by_the_space_bar(qtbot: QtBot) -> None:
    switch = Switch("Server")
    qtbot.addWidget(switch)
    switch.resize(switch.sizeHint())
    switch.show()
    qtbot.mouseClick(switch, Qt.MouseButton.LeftButton)
    assert switch.isChecked()
    qtbot.keyClick(switch, Qt.Key.Key_Space)
    assert not switch.isChecked()
    assert not switch.grab().isNull()


def test_a_long_line_is_shortened_and_kept_in_the_tooltip(qtbot: QtBot) -> None:
    text = "/a/very/long/path/" + "x" * 200
    made = ElidedLabel(text)
    qtbot.addWidget(made)
    made.resize(100, 20)
    made.show()
    assert "…" in made.text()
    assert made.toolTip() == text
    assert made.full_text == text
    made.set_full_text("short")
    assert (made.text(), made.toolTip()) == ("short", "")


def test_a_long_line_is_no_html_in_the_tooltip(qtbot: QtBot) -> None:
    made = ElidedLabel("<b>a</b> name that is too long for its place")
    qtbot.addWidget(made)
    made.resize(40, 20)
    made.show()
    assert "&lt;b&gt;a&lt;/b&gt;" in made.toolTip()


def test_buttons_have_names_for_a_screen_reader(qtbot: QtBot) -> None:
    assert button("&Load", "play").accessibleName() == "Load"
    assert button("Load", name="Load Ember").accessibleName() == "Load Ember"
    assert tool_button("close", "Close").accessibleName() == "Close"


def test_an_empty_state_can_change_its_words(qtbot: QtBot) -> None:
    empty = EmptyState("models", "Nothing", "Add one.")
    qtbot.addWidget(empty)
    empty.tell("Looking…", "acme/model")
    empty.show()
    assert not empty.grab().isNull()
