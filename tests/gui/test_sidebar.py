from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from app.gui.sidebar import Page, Sidebar
from app.gui.theme import apply_theme


def test_a_click_asks_for_a_page_and_marks_it(qtbot: QtBot, qapp: QApplication) -> None:
    apply_theme(qapp, "light")
    sidebar = Sidebar(QWidget())
    qtbot.addWidget(sidebar)
    with qtbot.waitSignal(sidebar.page_asked) as asked:
        qtbot.mouseClick(sidebar.buttons[Page.SERVER], Qt.MouseButton.LeftButton)
    assert asked.args == [Page.SERVER]
    sidebar.show_page(Page.MODELS)
    assert [page for page, button in sidebar.buttons.items() if button.isChecked()] == [Page.MODELS]


def test_a_new_chat_is_asked_for(qtbot: QtBot) -> None:
    sidebar = Sidebar(QWidget())
    qtbot.addWidget(sidebar)
    with qtbot.waitSignal(sidebar.new_chat_asked):
        sidebar.new_chat_button.click()


def test_what_a_dot_means_is_also_said(qtbot: QtBot, qapp: QApplication) -> None:
    apply_theme(qapp, "light")
    sidebar = Sidebar(QWidget())
    qtbot.addWidget(sidebar)
    server = sidebar.buttons[Page.SERVER]
    without = server.grab().toImage()
    server.set_mark("success", "on")
    assert server.accessibleName() == "Server, on"
    assert server.grab().toImage() != without
    server.set_mark("", "")
    assert (server.mark, server.accessibleName()) == ("", "Server")


def test_a_click_leaves_the_keyboard_where_it_is(qtbot: QtBot) -> None:
    window, line, sidebar = QWidget(), QLineEdit(), Sidebar(QWidget())
    column = QVBoxLayout(window)
    column.addWidget(line)
    column.addWidget(sidebar)
    qtbot.addWidget(window)
    window.show()
    line.setFocus()
    qtbot.mouseClick(sidebar.buttons[Page.MODELS], Qt.MouseButton.LeftButton)
    assert window.focusWidget() is line
