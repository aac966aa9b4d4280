from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from pytestqt.qtbot import QtBot

from app.domain.models import DownloadProgress, DownloadState
from app.gui.bridge import Bridge
from app.gui.downloads_status import DownloadsStatus, DownloadsWatch
from app.service.services import Services
from tests.gui.stand_ins import StandInDownloads

OnLoop = Callable[[Callable[[], Any]], Any]

_RUNNING = DownloadProgress("a", "acme/Small", "a.gguf", DownloadState.RUNNING, 400_000_000, 1_000_000_000, 20e6, 30)


def test_all_that_is_to_come_is_counted_at_the_speed_of_all() -> None:
    queued = replace(_RUNNING, id="b", state=DownloadState.QUEUED, done_bytes=0, bytes_per_s=0.0, eta_s=None)
    paused = replace(queued, id="c", state=DownloadState.PAUSED)
    done = replace(queued, id="d", state=DownloadState.DONE, done_bytes=1_000_000_000)
    status = DownloadsStatus((_RUNNING, queued, paused, done))
    assert (status.done_bytes, status.total_bytes) == (400_000_000, 3_000_000_000)
    assert status.eta_s == 80
    assert status.text == "Downloading: 3  ·  13 %  ·  20.0 MB/s  ·  80 s left"


@pytest.mark.parametrize(
    ("states", "text"),
    [
        ((), ""),
        ((DownloadState.DONE, DownloadState.FAILED, DownloadState.CANCELLED), ""),
        ((DownloadState.PAUSED, DownloadState.PAUSED), "Downloads paused: 2"),
        ((DownloadState.WAITING, DownloadState.PAUSED), "Downloads waiting: 2"),
    ],
)
def test_nothing_is_told_of_speed_while_nothing_moves(states: tuple[DownloadState, ...], text: str) -> None:
    downloads = tuple(replace(_RUNNING, id=str(number), state=state) for number, state in enumerate(states))
    assert DownloadsStatus(downloads).text == text


def test_an_end_is_told_once_and_not_of_downloads_that_had_ended_before(
    qtbot: QtBot, services: Services, bridge: Bridge, on_loop: OnLoop
) -> None:
    downloads = cast(StandInDownloads, services.downloads)
    on_loop(lambda: downloads.put(replace(_RUNNING, id="old", state=DownloadState.DONE)))
    watch = DownloadsWatch(services, bridge, bridge)
    ended: list[str] = []
    watch.ended.connect(lambda progress: ended.append(progress.id))
    qtbot.waitUntil(lambda: len(watch.status.downloads) == 1)
    on_loop(lambda: downloads.put(_RUNNING))
    for _ in range(2):
        on_loop(lambda: downloads.put(replace(_RUNNING, state=DownloadState.DONE)))
    on_loop(lambda: downloads.put(replace(_RUNNING, id="last")))
    qtbot.waitUntil(lambda: len(watch.status.downloads) == 3)
    assert ended == ["a"]


def test_the_order_is_that_of_the_list(qtbot: QtBot, services: Services, bridge: Bridge, on_loop: OnLoop) -> None:
    downloads = cast(StandInDownloads, services.downloads)
    for name in ("a", "b", "c"):
        on_loop(lambda name=name: downloads.put(replace(_RUNNING, id=name)))
    watch = DownloadsWatch(services, bridge, bridge)
    on_loop(lambda: downloads.move("c", 0))
    qtbot.waitUntil(lambda: [one.id for one in watch.status.downloads] == ["c", "a", "b"])
