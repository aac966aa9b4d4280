from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication, QSystemTrayIcon
from pytestqt.qtbot import QtBot

from app.domain.models import DownloadProgress, DownloadState
from app.gui.downloads_status import DownloadsStatus
from app.gui.icons import TrayState
from app.gui.status import Status
from app.gui.tray import Tray
from app.service.server_control import ServerState


@pytest.fixture
def tray(qapp: QApplication) -> Iterator[Tray]:
    made = Tray()
    yield made
    made.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def test_the_menu_shows_the_window_switches_the_server_and_quits(qtbot: QtBot, tray: Tray) -> None:
    assert [action.text() for action in tray.menu.actions() if action.text()] == ["Show window", "Server on", "Quit"]
    with qtbot.waitSignal(tray.show_asked):
        tray.show_action.trigger()
    with qtbot.waitSignal(tray.server_asked) as asked:
        tray.server_action.trigger()
    assert asked.args == [True]
    with qtbot.waitSignal(tray.quit_asked):
        tray.quit_action.trigger()


def test_the_icon_and_the_tooltip_tell_the_state(qtbot: QtBot, tray: Tray) -> None:
    assert tray.state is TrayState.STOPPED
    assert not tray.icon.icon().isNull()
    tray.show_status(Status(ServerState(running=True, address="http://127.0.0.1:8642/v1")))
    assert tray.state is TrayState.READY
    assert tray.server_action.isChecked()
    assert "http://127.0.0.1:8642/v1" in tray.icon.toolTip()


def test_a_click_on_the_icon_shows_the_window(qtbot: QtBot, tray: Tray) -> None:
    with qtbot.waitSignal(tray.show_asked):
        tray.icon.activated.emit(QSystemTrayIcon.ActivationReason.Trigger)


def test_the_menu_and_the_tooltip_tell_of_downloads_while_there_are_any(qtbot: QtBot, tray: Tray) -> None:
    running = DownloadProgress("d1", "acme/Small", "a.gguf", DownloadState.RUNNING, 250, 1000)
    tray.show_status(Status(downloads=DownloadsStatus((running,))))
    assert "25 %" in tray.icon.toolTip()
    assert tray.download_action.isVisible()
    with qtbot.waitSignal(tray.downloads_asked):
        tray.download_action.trigger()
    tray.show_status(Status())
    assert not tray.download_action.isVisible()
    assert "%" not in tray.icon.toolTip()
