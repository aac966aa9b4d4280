from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from pytestqt.qtbot import QtBot

from app.domain.models import DownloadProgress, DownloadState
from app.gui.bridge import Bridge
from app.gui.models.get_page import GetPage
from app.service.services import Services
from tests.gui.stand_ins import StandInDesktop, StandInDownloads, a_repository

OnLoop = Callable[[Callable[[], Any]], Any]

_RUNNING = DownloadProgress("d1", "acme/Small", "Small-Q4_K_M.gguf", DownloadState.RUNNING, 50_000, 1_000_000_000)


@pytest.fixture
def downloads(services: Services) -> StandInDownloads:
    return cast(StandInDownloads, services.downloads)


@pytest.fixture
def page(qtbot: QtBot, services: Services, bridge: Bridge, desktop: StandInDesktop) -> GetPage:
    made = GetPage(services, bridge, desktop=desktop)
    qtbot.addWidget(made)
    qtbot.addWidget(made.downloads)
    return made


def _state(downloads: StandInDownloads) -> DownloadState | None:
    progress = downloads.states.get("d1")
    return progress.state if progress is not None else None


def test_a_download_is_started_paused_resumed_and_tried_again(
    page: GetPage, qtbot: QtBot, downloads: StandInDownloads, on_loop: OnLoop
) -> None:
    repository = a_repository()
    page.download(repository, repository.models[0], repository.projectors[0])
    qtbot.waitUntil(page.downloads.isVisible)
    assert downloads.started == [("acme/Small-VL-GGUF", "Small-VL-Q8_0.gguf", "mmproj-Small-VL-F16.gguf")]
    page.downloads.pause_asked.emit("d1")
    qtbot.waitUntil(lambda: _state(downloads) is DownloadState.PAUSED)
    page.downloads.resume_asked.emit("d1")
    qtbot.waitUntil(lambda: _state(downloads) is DownloadState.RUNNING)
    on_loop(lambda: downloads.put(replace(downloads.states["d1"], state=DownloadState.FAILED)))
    page.downloads.retry_asked.emit("d1")
    qtbot.waitUntil(lambda: _state(downloads) is DownloadState.QUEUED)


def test_a_cancelled_download_leaves_the_list(
    page: GetPage, qtbot: QtBot, downloads: StandInDownloads, desktop: StandInDesktop, on_loop: OnLoop
) -> None:
    on_loop(lambda: downloads.put(_RUNNING))
    qtbot.waitUntil(page.downloads.isVisible)
    page.downloads.cancel_asked.emit("d1")
    qtbot.waitUntil(page.downloads.isHidden)
    qtbot.waitUntil(lambda: not downloads.states)
    assert desktop.asked == []


def test_much_that_has_arrived_is_not_thrown_away_without_asking(
    page: GetPage, qtbot: QtBot, downloads: StandInDownloads, desktop: StandInDesktop, on_loop: OnLoop
) -> None:
    on_loop(lambda: downloads.put(replace(_RUNNING, done_bytes=900_000_000)))
    qtbot.waitUntil(page.downloads.isVisible)
    desktop.says_yes = False
    page.downloads.cancel_asked.emit("d1")
    assert "900 MB" in desktop.asked[0]
    desktop.says_yes = True
    page.downloads.cancel_asked.emit("d1")
    qtbot.waitUntil(lambda: not downloads.states)


def test_the_order_is_changed_for_the_manager(
    page: GetPage, qtbot: QtBot, downloads: StandInDownloads, on_loop: OnLoop
) -> None:
    for name in ("a", "b"):
        on_loop(lambda name=name: downloads.put(replace(_RUNNING, id=name, label=f"{name}.gguf")))
    page.downloads.move_asked.emit("b", 0)
    qtbot.waitUntil(lambda: [one.id for one in downloads.downloads] == ["b", "a"])


def test_all_are_paused_and_resumed_together(page: GetPage, qtbot: QtBot, downloads: StandInDownloads, on_loop: OnLoop) -> None:
    on_loop(lambda: downloads.put(_RUNNING))
    page.downloads.pause_all_asked.emit()
    qtbot.waitUntil(lambda: _state(downloads) is DownloadState.PAUSED)
    page.downloads.resume_all_asked.emit()
    qtbot.waitUntil(lambda: _state(downloads) is DownloadState.RUNNING)
