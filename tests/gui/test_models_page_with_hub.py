"""The models page with the real library, downloads and hub client, against a hub on loopback."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QModelIndex
from PySide6.QtWidgets import QLabel, QToolButton
from pytestqt.qtbot import QtBot

from app.gui.bridge import Bridge
from app.gui.models_page import ModelsPage
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.library import ModelLibrary
from app.service.loop import ServiceLoop
from app.service.services import Services
from tests.fake_hub import FakeHub
from tests.gui.stand_ins import StandInDesktop

_FILE = "Ember-F16.gguf"
_PROJECTOR = "mmproj-Ember-F16.gguf"


@pytest.fixture
def hub(ember_path: Path, ember_projector_path: Path) -> Iterator[FakeHub]:
    with FakeHub() as made:
        made.add("acme/Ember-GGUF", {_FILE: ember_path.read_bytes(), _PROJECTOR: ember_projector_path.read_bytes()})
        yield made


@pytest.fixture
def page(
    qtbot: QtBot, services: Services, service: ServiceLoop, bridge: Bridge, hub: FakeHub, desktop: StandInDesktop
) -> Iterator[ModelsPage]:
    client = Hub(endpoint=hub.endpoint)

    async def real() -> Services:
        return dataclasses.replace(
            services,
            library=ModelLibrary(services.paths, services.settings),
            hub=client,
            downloads=DownloadManager(client, services.settings, lambda: services.paths.models),
        )

    joined = service.submit(real()).result()
    made = ModelsPage(joined, bridge, desktop=desktop)
    qtbot.addWidget(made)
    made.resize(850, 640)
    made.show()
    qtbot.waitUntil(lambda: made.models.rowCount() == 1)
    yield made
    hub.resume.set()
    service.submit(joined.downloads.close()).result()


def _look_up(page: ModelsPage, qtbot: QtBot) -> None:
    page.tabs.setCurrentWidget(page.get)
    qtbot.waitUntil(lambda: _hit(page) is not None, timeout=20_000)
    page.get.search.list.clicked.emit(_hit(page))
    qtbot.waitUntil(lambda: page.get.repository.files.rowCount() == 1, timeout=20_000)


def _hit(page: ModelsPage) -> QModelIndex | None:
    hits = page.get.search.hits
    return next((hits.index(row) for row in range(hits.rowCount()) if hits.index(row).data() == "Ember-GGUF"), None)


def _words(page: ModelsPage) -> str:
    return "\n".join(label.text() for label in page.get.downloads.findChildren(QLabel) if label.isVisibleTo(page))


def test_a_model_is_found_downloaded_with_its_projector_listed_and_removed(
    page: ModelsPage, qtbot: QtBot, services: Services
) -> None:
    _look_up(page, qtbot)
    page.get.repository.download_button.click()
    qtbot.waitUntil(lambda: page.models.rowCount() == 2, timeout=30_000)
    folder = services.paths.models / "acme" / "Ember-GGUF"
    assert {path.name for path in folder.glob("*.gguf")} == {_FILE, _PROJECTOR}
    qtbot.waitUntil(lambda: "The model is in your list" in _words(page))
    page.select("Ember-F16")
    assert page.detail.model is not None
    assert page.detail.model.projector == folder / _PROJECTOR
    page.detail.remove_button.click()
    qtbot.waitUntil(lambda: page.models.rowCount() == 1, timeout=10_000)
    assert not (folder / _FILE).exists()


def test_a_download_under_way_shows_its_progress_and_cancel_leaves_nothing_behind(
    page: ModelsPage, qtbot: QtBot, hub: FakeHub, services: Services
) -> None:
    hub.faults.pause_after = 3_000_000
    _look_up(page, qtbot)
    page.get.repository.download_button.click()
    qtbot.waitUntil(hub.paused.is_set, timeout=20_000)
    qtbot.waitUntil(lambda: " of 12.8 MB" in _words(page), timeout=10_000)
    next(made for made in page.get.downloads.findChildren(QToolButton) if "Cancel" in made.accessibleName()).click()
    hub.resume.set()
    qtbot.waitUntil(page.get.downloads.isHidden, timeout=20_000)
    qtbot.waitUntil(lambda: not [path for path in services.paths.models.rglob("*") if path.is_file()], timeout=10_000)


def test_a_repository_that_is_not_there_is_told_in_words(page: ModelsPage, qtbot: QtBot) -> None:
    page.tabs.setCurrentWidget(page.get)
    page.get.search.field.setText("acme/nothing")
    page.get.search.field.returnPressed.emit()
    qtbot.waitUntil(lambda: "Check the spelling" in page.get.repository.banner.text, timeout=20_000)
