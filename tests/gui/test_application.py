from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import cast

import pytest
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from app.gui.application import Failures, Shell, make_application, run
from app.gui.icons import TrayState
from app.gui.single_instance import SingleInstance
from app.service.loop import ServiceLoop
from app.service.services import Services
from tests.gui.stand_ins import StandInDesktop, StandInServer


@pytest.fixture
def shell(qapp: QApplication, services: Services, service: ServiceLoop, desktop: StandInDesktop) -> Iterator[Shell]:
    made = Shell(services, service, desktop=desktop)
    yield made
    made.close()


def test_the_application_is_named_and_survives_its_last_window(qapp: QApplication) -> None:
    app = make_application()
    assert app is qapp
    assert app.applicationDisplayName() == "Hearth"
    assert app.desktopFileName() == "hearth"
    assert not app.windowIcon().isNull()
    assert not app.quitOnLastWindowClosed()


def test_the_server_is_started_with_the_window(qtbot: QtBot, shell: Shell) -> None:
    shell.start(hidden=False)
    assert shell.window.isVisible()
    qtbot.waitUntil(lambda: shell.status.status.server.running)
    assert shell.tray.state is TrayState.READY
    assert shell.window.server_status.full_text == "http://127.0.0.1:8642/v1"


def test_a_server_that_is_not_wanted_stays_off(
    qtbot: QtBot, services: Services, service: ServiceLoop, desktop: StandInDesktop
) -> None:
    services.settings.update(server_enabled=False)
    shell = Shell(services, service, desktop=desktop)
    shell.start(hidden=False)
    qtbot.waitUntil(lambda: bool(shell.status.status.names))
    assert not services.server.state.running
    shell.close()


def test_a_taken_port_is_told_on_the_server_page_and_in_the_tray(qtbot: QtBot, shell: Shell, services: Services) -> None:
    cast(StandInServer, services.server).taken = 8642
    shell.start(hidden=False)
    qtbot.waitUntil(lambda: "8643" in shell.window.server.banner.text)
    qtbot.waitUntil(lambda: shell.tray.state is TrayState.ERROR)


def test_started_hidden_without_a_tray_it_is_only_minimised(qtbot: QtBot, shell: Shell) -> None:
    assert not shell.tray.available
    shell.start(hidden=True)
    assert shell.window.isMinimized()


def test_the_server_is_switched_from_the_tray(qtbot: QtBot, shell: Shell, services: Services) -> None:
    shell.start(hidden=False)
    qtbot.waitUntil(lambda: shell.status.status.server.running)
    shell.tray.server_action.trigger()
    qtbot.waitUntil(lambda: not shell.status.status.server.running)
    assert not services.settings.current.server_enabled


def test_quit_in_the_tray_finishes(qtbot: QtBot, shell: Shell) -> None:
    shell.start(hidden=False)
    with qtbot.waitSignal(shell.finished):
        shell.tray.quit_action.trigger()


def test_a_failure_is_shown_once_with_the_place_of_the_log(qtbot: QtBot, shell: Shell) -> None:
    shell.start(hidden=False)
    shell.report(ZeroDivisionError("division by zero"))
    shell.report(ZeroDivisionError("division by zero"))
    boxes = shell.window.findChildren(QMessageBox)
    assert len(boxes) == 1
    assert "ZeroDivisionError" in boxes[0].text()
    assert "hearth.log" in boxes[0].informativeText()
    boxes[0].accept()


def test_what_nobody_caught_is_logged_and_told(qtbot: QtBot, caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    with failures.caught(), caplog.at_level(logging.CRITICAL):
        with qtbot.waitSignal(failures.happened) as happened:
            try:
                raise ValueError("from a slot")
            except ValueError as error:
                sys.excepthook(type(error), error, error.__traceback__)
        assert str((happened.args or [""])[0]) == "from a slot"
        with qtbot.waitSignal(failures.happened):
            threading.Thread(target=lambda: 1 / 0).start()
    assert "from a slot" in caplog.text
    assert "division by zero" in caplog.text


class _Soon(QObject):
    """Does something once the event loop runs."""

    now = Signal()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_the_program_ends_on_a_signal(
    qapp: QApplication, services: Services, service: ServiceLoop, kind: signal.Signals
) -> None:
    QTimer.singleShot(0, qapp, lambda: os.kill(os.getpid(), kind))
    assert run(services, service, hidden=False) == 0


def test_a_second_program_hands_over_and_ends(
    qapp: QApplication, services: Services, service: ServiceLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SingleInstance(services.paths)
    assert first.claim()
    monkeypatch.setattr(SingleInstance, "hand_over", lambda self: True)
    assert run(services, service, hidden=False) == 0
    assert not services.server.state.running
    first.close()
