"""Moving the models folder, with the real library."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.gui.bridge import Bridge
from app.gui.settings.own_folder import OwnFolderField
from app.library.library import ModelLibrary
from app.service.services import Services
from tests.gui.stand_ins import StandInDesktop
from tests.library.gguf_maker import write_model

OnLoop = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def field(qtbot: QtBot, services: Services, bridge: Bridge, desktop: StandInDesktop, on_loop: OnLoop) -> OwnFolderField:
    library = on_loop(lambda: ModelLibrary(services.paths, services.settings))
    made = OwnFolderField(dataclasses.replace(services, library=library), bridge, desktop)
    qtbot.addWidget(made)
    made.show()
    bridge.watch(services.settings.changed, lambda settings: made.set_value(settings.models_folder))
    return made


def test_the_folder_is_moved_with_everything_in_it(
    field: OwnFolderField, qtbot: QtBot, services: Services, desktop: StandInDesktop, tmp_path: Path
) -> None:
    write_model(services.paths.models / "org" / "repo" / "m.gguf")
    assert field.path.full_text == str(services.paths.models)
    desktop.file = tmp_path / "elsewhere"
    field.move_button.click()
    assert not field.move_button.isEnabled()
    qtbot.waitUntil(field.move_button.isEnabled)
    qtbot.waitUntil(lambda: field.path.full_text == str(tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere" / "org" / "repo" / "m.gguf").exists()
    assert not field.work.isVisible()


def test_a_place_that_can_not_be_is_told_and_nothing_moves(
    field: OwnFolderField, qtbot: QtBot, services: Services, desktop: StandInDesktop
) -> None:
    file = write_model(services.paths.models / "org" / "repo" / "m.gguf")
    desktop.file = services.paths.models / "inside"
    with qtbot.waitSignal(field.failed):
        field.move_button.click()
    assert file.exists()
    assert services.settings.current.models_folder is None
    desktop.file = None
    field.move_button.click()
    assert field.move_button.isEnabled()
