from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtWidgets import QLabel, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from app.domain.models import DownloadProgress, DownloadState
from app.gui.models.downloads_panel import DownloadsPanel

_RUNNING = DownloadProgress(
    "d1", "acme/Small", "Small-Q4_K_M.gguf", DownloadState.RUNNING, 500_000_000, 1_000_000_000, 23e6, 65
)


@pytest.fixture
def panel(qtbot: QtBot) -> DownloadsPanel:
    made = DownloadsPanel()
    qtbot.addWidget(made)
    made.resize(600, 200)
    return made


def _texts(panel: DownloadsPanel) -> str:
    return "\n".join(label.text() for label in panel.findChildren(QLabel) if not label.isHidden())


def _button(panel: DownloadsPanel, text: str) -> QPushButton:
    return next(made for made in panel.findChildren(QPushButton) if made.text() == text)


def test_it_is_hidden_while_nothing_is_downloaded(panel: DownloadsPanel) -> None:
    assert panel.isHidden()


def test_a_download_shows_how_far_how_fast_and_how_long(panel: DownloadsPanel) -> None:
    panel.show_progress(_RUNNING)
    shown = _texts(panel)
    for expected in ("500 MB of 1.0 GB", "23.0 MB/s", "65 s left"):
        assert expected in shown
    assert not panel.isHidden()


def test_the_time_left_is_not_made_up(panel: DownloadsPanel) -> None:
    panel.show_progress(replace(_RUNNING, bytes_per_s=0.0, eta_s=None))
    assert "left" not in _texts(panel)


def test_a_download_can_be_cancelled_and_then_leaves(panel: DownloadsPanel, qtbot: QtBot) -> None:
    panel.show_progress(_RUNNING)
    with qtbot.waitSignal(panel.cancel_asked) as asked:
        _button(panel, "Cancel").click()
    assert asked.args == ["d1"]
    panel.show_progress(replace(_RUNNING, state=DownloadState.CANCELLED))
    assert panel.isHidden()


def test_a_failure_says_why_and_can_be_tried_again(panel: DownloadsPanel, qtbot: QtBot) -> None:
    panel.show_progress(replace(_RUNNING, state=DownloadState.FAILED, error="The disk is full."))
    assert "The disk is full." in _texts(panel)
    with qtbot.waitSignal(panel.retry_asked) as asked:
        _button(panel, "Try again").click()
    assert asked.args == ["d1"]


def test_what_is_done_can_be_taken_off_the_list(panel: DownloadsPanel) -> None:
    panel.show_progress(replace(_RUNNING, state=DownloadState.DONE, done_bytes=1_000_000_000))
    assert "The model is in your list" in _texts(panel)
    panel.findChild(QToolButton).click()
    assert panel.isHidden()


@pytest.mark.parametrize("state", list(DownloadState))
def test_every_state_has_words(panel: DownloadsPanel, state: DownloadState) -> None:
    panel.show_progress(replace(_RUNNING, state=state, error="It failed." if state is DownloadState.FAILED else None))
    assert state is DownloadState.CANCELLED or len(_texts(panel).splitlines()) >= 3
