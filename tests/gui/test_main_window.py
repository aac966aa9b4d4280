from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.domain.models import LoadedModel, ModelState
from app.gui.bridge import Bridge
from app.gui.main_window import MainWindow
from app.gui.sidebar import Page
from app.gui.status import Status
from app.service.server_control import ServerState
from app.service.services import Services
from tests.gui.stand_ins import StandInDesktop

_ON = Status(ServerState(running=True, address="http://127.0.0.1:8642/v1"))


class _Tray:
    available = True


@pytest.fixture
def tray() -> _Tray:
    return _Tray()


@pytest.fixture
def window(qtbot: QtBot, services: Services, bridge: Bridge, desktop: StandInDesktop, tray: _Tray) -> MainWindow:
    made = MainWindow(services, bridge, tray_available=lambda: tray.available, desktop=desktop)
    qtbot.addWidget(made, before_close_func=lambda widget: widget.prepare_to_quit())
    made.show()
    qtbot.waitUntil(lambda: made.models.models.rowCount() == 2)
    return made


def test_it_begins_with_an_empty_chat_and_its_composer(window: MainWindow) -> None:
    assert window.pages.currentWidget() is window.chat
    assert window.sidebar.buttons[Page.CHAT].isChecked()


@pytest.mark.parametrize("page", list(Page))
def test_each_page_is_one_click_away(window: MainWindow, qtbot: QtBot, page: Page) -> None:
    qtbot.mouseClick(window.sidebar.buttons[page], Qt.MouseButton.LeftButton)
    assert window.pages.currentIndex() == page


def test_each_page_has_a_shortcut_that_its_tooltip_names(window: MainWindow) -> None:
    shortcuts = {action.text(): action for action in window.actions()}
    shortcuts["Settings"].trigger()
    assert window.pages.currentWidget() is window.settings
    assert "Ctrl+," in window.sidebar.buttons[Page.SETTINGS].toolTip()
    shortcuts["New chat"].trigger()
    assert window.pages.currentWidget() is window.chat
    keys = [action.shortcut().toString() for action in window.actions()]
    assert keys == ["Ctrl+1", "Ctrl+2", "Ctrl+3", "Ctrl+,", "Ctrl+N", "Ctrl+W", "Ctrl+Q"]


def test_the_status_line_names_the_loaded_model_and_the_address(window: MainWindow) -> None:
    window.show_status(Status(_ON.server, (LoadedModel("ember", ModelState.READY),), {"ember": "Ember"}))
    assert window.model_status.full_text == "Loaded: Ember"
    assert window.server_status.full_text == "http://127.0.0.1:8642/v1"
    assert window.sidebar.buttons[Page.SERVER].accessibleName() == "Server, on"


def test_closing_with_the_server_on_keeps_it_in_the_tray_and_says_so_once(
    window: MainWindow, qtbot: QtBot, services: Services, desktop: StandInDesktop
) -> None:
    window.show_status(_ON)
    with qtbot.assertNotEmitted(window.quit_asked):
        window.close()
    assert not window.isVisible()
    assert len(desktop.asked) == 1
    qtbot.waitUntil(lambda: services.settings.current.told_about_tray)
    window.bring_to_front()
    assert window.isVisible()
    window.close()
    assert not window.isVisible()
    assert len(desktop.asked) == 1


def test_where_there_is_no_tray_closing_asks(window: MainWindow, qtbot: QtBot, desktop: StandInDesktop, tray: _Tray) -> None:
    tray.available = False
    window.show_status(_ON)
    desktop.picks = None
    window.close()
    assert window.isVisible()
    desktop.picks = 0
    window.close()
    assert window.isMinimized()
    desktop.picks = 1
    with qtbot.waitSignal(window.quit_asked):
        window.close()


def test_closing_with_the_server_off_quits(window: MainWindow, qtbot: QtBot, desktop: StandInDesktop) -> None:
    with qtbot.waitSignal(window.quit_asked):
        window.close()
    assert desktop.asked == []


def test_the_size_is_remembered(window: MainWindow, qtbot: QtBot, services: Services, bridge: Bridge) -> None:
    window.resize(703, 511)
    window.prepare_to_quit()
    again = MainWindow(services, bridge, tray_available=lambda: True)
    qtbot.addWidget(again, before_close_func=lambda widget: widget.prepare_to_quit())
    assert (again.width(), again.height()) == (703, 511)


def test_chat_from_the_models_page_opens_a_chat(window: MainWindow) -> None:
    window.show_page(Page.MODELS)
    window.models.detail.chat_asked.emit("second-model")
    assert window.pages.currentWidget() is window.chat


def test_the_keyboard_is_where_one_writes_and_on_no_button_elsewhere(window: MainWindow) -> None:
    window.show()
    window.show_page(Page.SERVER)
    assert window.focusWidget() is window.server
    window.show_page(Page.CHAT)
    assert window.focusWidget() is window.chat.composer.focusProxy()
