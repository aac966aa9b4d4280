from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLineEdit, QPushButton
from pytestqt.qtbot import QtBot

from app.domain.models import LoadedModel, ModelState
from app.gui.bridge import Bridge
from app.gui.server_page import ServerPage
from app.service.activity import RequestRecord
from app.service.loop import ServiceLoop
from app.service.services import Services
from tests.gui.stand_ins import StandInModels, StandInServer

OnLoop = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def server(services: Services) -> StandInServer:
    return cast(StandInServer, services.server)


@pytest.fixture
def page(qtbot: QtBot, services: Services, bridge: Bridge) -> ServerPage:
    made = ServerPage(services, bridge)
    qtbot.addWidget(made)
    made.resize(800, 640)
    made.show()
    return made


def test_the_switch_starts_and_stops_the_server_and_is_remembered(
    page: ServerPage, qtbot: QtBot, services: Services, server: StandInServer
) -> None:
    page.switch.click()
    qtbot.waitUntil(lambda: page.state_label.text() == "On")
    assert server.state.running
    page.switch.click()
    qtbot.waitUntil(lambda: page.state_label.text() == "Off")
    assert not server.state.running
    assert not services.settings.current.server_enabled


def test_the_address_can_be_copied(page: ServerPage, qtbot: QtBot) -> None:
    page.switch.click()
    qtbot.waitUntil(lambda: page.state_label.text() == "On")
    page.copy_button.click()
    assert QGuiApplication.clipboard().text() == "http://127.0.0.1:8642/v1"


def test_a_taken_port_is_told_and_the_free_one_is_one_click_away(
    page: ServerPage, qtbot: QtBot, services: Services, server: StandInServer
) -> None:
    server.taken = 8642
    page.switch.click()
    action = page.banner.findChild(QPushButton)
    qtbot.waitUntil(lambda: action.text() == "Use port 8643")
    assert not page.switch.isChecked()
    action.click()
    qtbot.waitUntil(lambda: page.state_label.text() == "On")
    assert services.settings.current.port == 8643
    assert page.address.text() == "http://127.0.0.1:8643/v1"
    assert page.banner.isHidden()


def test_the_examples_are_filled_in_and_follow_the_loaded_model(
    page: ServerPage, qtbot: QtBot, services: Services, on_loop: OnLoop
) -> None:
    assert all("ember" in view.text.toPlainText() for view in page.code.values())
    models = cast(StandInModels, services.models)
    on_loop(lambda: models.put(LoadedModel("second-model", ModelState.READY)))
    qtbot.waitUntil(lambda: all("second-model" in view.text.toPlainText() for view in page.code.values()))
    page.code["curl"].copy_button.click()
    assert QGuiApplication.clipboard().text().startswith("curl http://127.0.0.1:8642/v1/chat/completions")


def test_requests_appear_as_they_come(page: ServerPage, qtbot: QtBot, services: Services, on_loop: OnLoop) -> None:
    assert not page.table.isVisibleTo(page)
    on_loop(lambda: services.activity.record(RequestRecord("1", datetime.now(UTC), "/v1/models", "", 200)))
    qtbot.waitUntil(lambda: page.requests.rowCount() == 1)
    assert page.table.isVisibleTo(page)


def test_the_key_is_masked_and_a_running_server_takes_it_on_at_once(
    page: ServerPage, qtbot: QtBot, services: Services, service: ServiceLoop, server: StandInServer
) -> None:
    service.submit(server.start()).result()
    starts: list[bool] = []
    server.changed.subscribe(lambda state: starts.append(state.running))
    assert page.key.echoMode() is QLineEdit.EchoMode.Password
    page.key.setText("secret")
    page.save_key_button.click()
    qtbot.waitUntil(lambda: starts == [False, True])
    assert services.settings.current.api_key == "secret"
    qtbot.waitUntil(lambda: "YOUR_API_KEY" in page.code["Python"].text.toPlainText())
    assert "secret" not in page.code["Python"].text.toPlainText()
