from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.domain.models import LoadedModel, ModelState
from app.gui.bridge import Bridge
from app.gui.server_page import ServerPage
from app.service.activity import RequestRecord
from app.service.refusals import CallerKind
from app.service.services import Services
from tests.gui.stand_ins import StandInDesktop, StandInModels, StandInServer

OnLoop = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def server(services: Services) -> StandInServer:
    return cast(StandInServer, services.server)


@pytest.fixture
def page(qtbot: QtBot, services: Services, bridge: Bridge, desktop: StandInDesktop) -> ServerPage:
    made = ServerPage(services, bridge, desktop=desktop)
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


def test_a_new_key_is_shown_once_and_can_be_copied(page: ServerPage, qtbot: QtBot, services: Services, on_loop: OnLoop) -> None:
    page.keys.name.setText("Obsidian")
    page.keys.create_button.click()
    qtbot.waitUntil(page.keys.new_key.isVisible)
    page.keys.copy_button.click()
    key = QGuiApplication.clipboard().text()
    assert on_loop(lambda: services.api_keys.name_of(key.encode())) == "Obsidian"
    page.keys.done_button.click()
    assert not page.keys.new_key.isVisible()
    assert page.keys.new_key.text() == ""
    qtbot.waitUntil(lambda: page.keys.rows.texts == ["Obsidian"])


def test_a_name_that_is_taken_is_told(page: ServerPage, qtbot: QtBot, services: Services, on_loop: OnLoop) -> None:
    on_loop(lambda: services.api_keys.create("Obsidian"))
    page.keys.name.setText("Obsidian")
    page.keys.create_button.click()
    qtbot.waitUntil(lambda: "already" in page.keys.error.text())
    assert not page.keys.new_key.isVisible()


@pytest.mark.parametrize("sure", [True, False])
def test_a_key_is_revoked_if_the_person_is_sure(
    page: ServerPage, qtbot: QtBot, services: Services, on_loop: OnLoop, desktop: StandInDesktop, sure: bool
) -> None:
    desktop.says_yes = sure
    key = on_loop(lambda: services.api_keys.create("Obsidian"))
    qtbot.waitUntil(lambda: page.keys.rows.texts == ["Obsidian"])
    page.keys.rows.buttons[0].click()
    assert "Obsidian" in desktop.asked[0]
    qtbot.waitUntil(lambda: page.keys.rows.texts == ([] if sure else ["Obsidian"]))
    assert (on_loop(lambda: services.api_keys.name_of(key.encode())) is None) is sure


def test_keys_can_be_asked_for_once_there_is_one(page: ServerPage, qtbot: QtBot, services: Services, on_loop: OnLoop) -> None:
    assert not page.keys.switch.isEnabled()
    on_loop(lambda: services.api_keys.create("Obsidian"))
    qtbot.waitUntil(page.keys.switch.isEnabled)
    page.keys.switch.click()
    qtbot.waitUntil(lambda: "YOUR_API_KEY" in page.code["Python"].text.toPlainText())
    assert services.settings.current.require_api_key


def test_the_key_of_the_settings_can_be_removed_and_is_never_shown(
    page: ServerPage, qtbot: QtBot, services: Services, on_loop: OnLoop
) -> None:
    on_loop(lambda: services.settings.update(api_key="secret"))
    qtbot.waitUntil(lambda: len(page.keys.rows.texts) == 1)
    assert page.keys.switch.isChecked()
    assert "secret" not in page.code["Python"].text.toPlainText() + page.keys.rows.texts[0]
    page.keys.rows.buttons[0].click()
    qtbot.waitUntil(lambda: services.settings.current.api_key == "")
    qtbot.waitUntil(lambda: not page.keys.switch.isChecked())


@pytest.mark.parametrize(
    ("kind", "name", "setting"),
    [(CallerKind.PAGE, "https://chat.example.org", "allowed_origins"), (CallerKind.HOST, "workbench.lan", "allowed_hosts")],
)
def test_who_was_refused_can_be_let_in_by_one_click_and_refused_again(
    page: ServerPage, qtbot: QtBot, services: Services, on_loop: OnLoop, kind: CallerKind, name: str, setting: str
) -> None:
    assert not page.refused.isVisibleTo(page)
    on_loop(lambda: services.refusals.note(kind, name))
    qtbot.waitUntil(lambda: page.refused.isVisibleTo(page))
    page.refused.notices[0].allow_button.click()
    qtbot.waitUntil(lambda: page.allowed.rows.texts == [name])
    assert getattr(services.settings.current, setting) == (name,)
    qtbot.waitUntil(lambda: not page.refused.isVisibleTo(page))
    page.allowed.rows.buttons[0].click()
    qtbot.waitUntil(lambda: page.allowed.rows.texts == [])
    assert getattr(services.settings.current, setting) == ()


def test_who_was_refused_can_be_ignored(page: ServerPage, qtbot: QtBot, services: Services, on_loop: OnLoop) -> None:
    on_loop(lambda: services.refusals.note(CallerKind.PAGE, "https://evil.example"))
    qtbot.waitUntil(lambda: len(page.refused.notices) == 1)
    page.refused.notices[0].ignore_button.click()
    qtbot.waitUntil(lambda: page.refused.notices == [])
    assert services.settings.current.allowed_origins == ()


def test_pictures_are_fetched_only_if_a_person_says_so(page: ServerPage, qtbot: QtBot, services: Services) -> None:
    assert not page.allowed.fetch_switch.isChecked()
    page.allowed.fetch_switch.click()
    qtbot.waitUntil(lambda: services.settings.current.fetch_images)
