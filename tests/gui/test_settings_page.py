from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from PySide6.QtWidgets import QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from app.gui.bridge import Bridge
from app.gui.settings.fields import ChoiceField, SwitchField, TextField
from app.gui.settings.folders import FoldersField
from app.gui.settings_page import SettingsPage
from app.service.loop import ServiceLoop
from app.service.services import Services
from app.settings import SettingsStore
from tests.gui.stand_ins import StandInDesktop, StandInLibrary, StandInServer


@pytest.fixture
def page(qtbot: QtBot, services: Services, bridge: Bridge, desktop: StandInDesktop) -> SettingsPage:
    made = SettingsPage(services, bridge, desktop=desktop)
    qtbot.addWidget(made)
    made.resize(800, 640)
    made.show()
    qtbot.waitUntil(lambda: _text_field(made, "port").edit.text() == "8642")
    return made


def _text_field(page: SettingsPage, name: str) -> TextField:
    return cast(TextField, page.fields[name])


def _type(page: SettingsPage, name: str, text: str) -> None:
    field = _text_field(page, name)
    field.edit.setText(text)
    field.edit.editingFinished.emit()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("n_ctx", "8192", 8192),
        ("n_threads", "6", 6),
        ("n_parallel", "2", 2),
        ("gpu_layers", "20", 20),
        ("max_loaded_models", "3", 3),
        ("keep_alive_s", "30", 1800.0),
        ("keep_alive_s", "", -1.0),
        ("hub_endpoint", "https://mirror.example", "https://mirror.example"),
        ("hub_proxy", "socks5://proxy.example:1080", "socks5://proxy.example:1080"),
        ("simultaneous_downloads", "5", 5),
        ("download_connections", "1", 1),
        ("download_limit_mb_s", "2,5", 2.5),
    ],
)
def test_what_is_typed_is_kept_in_the_settings_file(
    page: SettingsPage, qtbot: QtBot, services: Services, name: str, text: str, value: object
) -> None:
    _type(page, name, text)
    qtbot.waitUntil(lambda: getattr(services.settings.current, name) == value)
    assert getattr(SettingsStore(services.paths.settings_file).current, name) == value


def test_a_wrong_value_is_shown_at_its_field_and_not_saved(page: SettingsPage, services: Services) -> None:
    _type(page, "port", "99999")
    assert "65535" in _text_field(page, "port").error
    assert services.settings.current.port == 8642


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("hub_endpoint", "mirror", "begins with https://"),
        ("hub_proxy", "ftp://proxy.example", "socks5://"),
        ("download_limit_mb_s", "fast", "megabytes a second"),
        ("download_limit_mb_s", "-1", "megabytes a second"),
    ],
)
def test_a_wrong_address_or_limit_says_what_would_be_right(page: SettingsPage, name: str, text: str, told: str) -> None:
    _type(page, name, text)
    assert told in _text_field(page, name).error


def test_the_hub_is_switched_off_with_a_click(page: SettingsPage, qtbot: QtBot, services: Services) -> None:
    cast(SwitchField, page.fields["hub_offline"]).switch.click()
    qtbot.waitUntil(lambda: services.settings.current.hub_offline)


def test_a_running_server_moves_to_the_new_port(
    page: SettingsPage, qtbot: QtBot, services: Services, service: ServiceLoop
) -> None:
    service.submit(services.server.start()).result()
    _type(page, "port", "9000")
    qtbot.waitUntil(lambda: services.server.state.address == "http://127.0.0.1:9000/v1")


def test_a_taken_port_is_told_at_the_field(page: SettingsPage, qtbot: QtBot, services: Services) -> None:
    cast(StandInServer, services.server).taken = 9000
    _type(page, "port", "9000")
    qtbot.waitUntil(lambda: "taken" in _text_field(page, "port").error)


def test_the_appearance_is_chosen_with_a_click(page: SettingsPage, qtbot: QtBot, services: Services) -> None:
    dark = cast(ChoiceField, page.fields["theme"]).findChildren(QPushButton)[2]
    dark.click()
    qtbot.waitUntil(lambda: services.settings.current.theme == "dark")


def test_instructions_are_saved_at_the_latest_when_the_window_closes(
    page: SettingsPage, qtbot: QtBot, services: Services
) -> None:
    page.prompt.setPlainText("Answer briefly.")
    page.flush()
    qtbot.waitUntil(lambda: services.settings.current.system_prompt == "Answer briefly.")


def test_folders_are_added_and_removed_and_the_library_looks_again(
    page: SettingsPage, qtbot: QtBot, services: Services, desktop: StandInDesktop, tmp_path: Path
) -> None:
    folders = cast(FoldersField, page.fields["models_folders"])
    desktop.file = tmp_path
    folders.add_button.click()
    qtbot.waitUntil(lambda: services.settings.current.models_folders == (tmp_path,))
    qtbot.waitUntil(lambda: cast(StandInLibrary, services.library).refreshes == 1)

    def remove_buttons() -> list[QToolButton]:
        return [
            made for made in folders.findChildren(QToolButton) if str(tmp_path) in made.accessibleName() and made.isVisible()
        ]

    qtbot.waitUntil(lambda: len(remove_buttons()) == 1)
    remove_buttons()[0].click()
    qtbot.waitUntil(lambda: services.settings.current.models_folders == ())


def test_a_change_from_elsewhere_is_shown(
    page: SettingsPage, qtbot: QtBot, services: Services, on_loop: Callable[[Callable[[], Any]], Any]
) -> None:
    on_loop(lambda: services.settings.update(n_parallel=7))
    qtbot.waitUntil(lambda: _text_field(page, "n_parallel").edit.text() == "7")


def test_in_a_narrow_window_nothing_is_cut_off(page: SettingsPage) -> None:
    page.resize(422, 480)
    page.grab()
    assert page.widget().minimumSizeHint().width() <= page.viewport().width()
    for field in page.fields.values():
        assert field.mapTo(page.widget(), field.rect().bottomRight()).x() < page.viewport().width()
