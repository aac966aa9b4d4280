from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QAbstractButton, QLabel
from pytestqt.qtbot import QtBot

from app.domain.models import DownloadProgress, DownloadState
from app.gui.downloads_status import DownloadsStatus
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


def _show(panel: DownloadsPanel, *downloads: DownloadProgress) -> None:
    panel.show_downloads(DownloadsStatus(downloads))


def _texts(panel: DownloadsPanel) -> str:
    return "\n".join(label.text() for label in panel.findChildren(QLabel) if label.isVisibleTo(panel))


def _button(panel: DownloadsPanel, name: str) -> QAbstractButton:
    return next(
        made for made in panel.findChildren(QAbstractButton) if made.accessibleName() == name and made.isVisibleTo(panel)
    )


def _names(panel: DownloadsPanel) -> list[str]:
    """From top to bottom."""
    shown = [made for made in panel.findChildren(QAbstractButton) if made.isVisibleTo(panel)]
    return [made.accessibleName() for made in sorted(shown, key=lambda made: made.mapTo(panel, QPoint()).y())]


def test_it_is_hidden_while_nothing_is_downloaded(panel: DownloadsPanel) -> None:
    assert panel.isHidden()


def test_a_download_shows_how_far_how_fast_and_how_long(panel: DownloadsPanel) -> None:
    _show(panel, _RUNNING)
    shown = _texts(panel)
    for expected in ("500 MB of 1.0 GB", "23.0 MB/s", "65 s left"):
        assert expected in shown
    assert not panel.isHidden()


def test_the_time_left_is_not_made_up(panel: DownloadsPanel) -> None:
    _show(panel, replace(_RUNNING, bytes_per_s=0.0, eta_s=None))
    assert "left" not in _texts(panel)


@pytest.mark.parametrize(
    ("state", "name", "signal"),
    [
        (DownloadState.RUNNING, "Pause Small-Q4_K_M", "pause_asked"),
        (DownloadState.QUEUED, "Pause Small-Q4_K_M", "pause_asked"),
        (DownloadState.PAUSED, "Go on with Small-Q4_K_M", "resume_asked"),
        (DownloadState.WAITING, "Try Small-Q4_K_M again now", "resume_asked"),
        (DownloadState.FAILED, "Try Small-Q4_K_M again", "retry_asked"),
        (DownloadState.RUNNING, "Cancel Small-Q4_K_M", "cancel_asked"),
        (DownloadState.PAUSED, "Cancel Small-Q4_K_M", "cancel_asked"),
        (DownloadState.FAILED, "Take Small-Q4_K_M off this list", "forget_asked"),
        (DownloadState.DONE, "Take Small-Q4_K_M off this list", "forget_asked"),
    ],
)
def test_each_state_offers_what_can_be_done(
    panel: DownloadsPanel, qtbot: QtBot, state: DownloadState, name: str, signal: str
) -> None:
    _show(panel, replace(_RUNNING, state=state))
    with qtbot.waitSignal(getattr(panel, signal)) as asked:
        _button(panel, name).click()
    assert asked.args == ["d1"]


def test_a_failure_says_why(panel: DownloadsPanel) -> None:
    _show(panel, replace(_RUNNING, state=DownloadState.FAILED, error="The disk is full."))
    assert "The disk is full." in _texts(panel)


def test_one_that_waits_says_why_and_counts_down(panel: DownloadsPanel) -> None:
    retry_at = datetime.now(UTC) + timedelta(seconds=42)
    _show(panel, replace(_RUNNING, state=DownloadState.WAITING, error="The hub can't be reached.", retry_at=retry_at))
    assert "The hub can't be reached. Next try in 42 s." in _texts(panel)


def test_a_cancelled_one_leaves(panel: DownloadsPanel) -> None:
    _show(panel, _RUNNING)
    _show(panel, replace(_RUNNING, state=DownloadState.CANCELLED))
    assert panel.isHidden()


def test_rows_stand_in_the_order_of_their_turns_and_can_be_moved_past_what_is_over(panel: DownloadsPanel, qtbot: QtBot) -> None:
    first, done = replace(_RUNNING, id="a", label="a.gguf"), replace(_RUNNING, id="b", label="b.gguf", state=DownloadState.DONE)
    last = replace(_RUNNING, id="c", label="c.gguf", state=DownloadState.QUEUED)
    _show(panel, first, done, last)
    assert not _button(panel, "Move a up").isEnabled()
    assert not _button(panel, "Move c down").isEnabled()
    assert "Move b up" not in _names(panel)
    with qtbot.waitSignal(panel.move_asked) as asked:
        _button(panel, "Move c up").click()
    assert asked.args == ["c", 0]
    panel.show()
    _show(panel, last, first, done)
    wanted = ["Pause all", "Pause c", "Pause a"]
    qtbot.waitUntil(lambda: [name for name in _names(panel) if name.startswith("Pause ")] == wanted)


def test_all_are_paused_and_resumed_together(panel: DownloadsPanel, qtbot: QtBot) -> None:
    other = replace(_RUNNING, id="d2")
    _show(panel, _RUNNING, other)
    with qtbot.waitSignal(panel.pause_all_asked):
        panel.all_button.click()
    _show(panel, *(replace(one, state=DownloadState.PAUSED) for one in (_RUNNING, other)))
    with qtbot.waitSignal(panel.resume_all_asked):
        panel.all_button.click()


def test_it_folds_to_one_line_that_still_tells_of_all(panel: DownloadsPanel) -> None:
    _show(panel, _RUNNING, replace(_RUNNING, id="d2", done_bytes=0))
    panel.fold_button.click()
    shown = _texts(panel)
    assert "Downloading: 2" in shown
    assert "25 %" in shown
    assert "500 MB of 1.0 GB" not in shown
    assert panel.fold_button.accessibleName() == "Show the downloads"


def test_the_keyboard_stays_on_the_button_that_pauses_and_resumes(panel: DownloadsPanel, qtbot: QtBot) -> None:
    panel.show()
    _show(panel, _RUNNING)
    pause = _button(panel, "Pause Small-Q4_K_M")
    _show(panel, replace(_RUNNING, state=DownloadState.PAUSED))
    assert _button(panel, "Go on with Small-Q4_K_M") is pause


@pytest.mark.parametrize("state", list(DownloadState))
def test_every_state_has_words(panel: DownloadsPanel, state: DownloadState) -> None:
    _show(panel, replace(_RUNNING, state=state, error="It failed." if state is DownloadState.FAILED else None))
    assert state is DownloadState.CANCELLED or len(_texts(panel).splitlines()) >= 3


def test_with_a_long_name_and_little_room_all_its_buttons_can_be_reached(panel: DownloadsPanel) -> None:
    label = f"{'A-very-long-name-of-a-model-' * 5}Q4_K_M.gguf"
    _show(panel, replace(_RUNNING, label=label), replace(_RUNNING, id="d2", label=label, state=DownloadState.QUEUED))
    panel.resize(400, 200)
    panel.show()
    panel.grab()
    for made in panel.findChildren(QAbstractButton):
        if made.isVisibleTo(panel):
            assert panel.rect().contains(made.mapTo(panel, made.rect().bottomRight())), made.accessibleName()


def test_on_a_low_page_it_is_low_and_scrolls(panel: DownloadsPanel) -> None:
    _show(panel, *(replace(_RUNNING, id=f"d{number}") for number in range(8)))
    high = panel.sizeHint().height()
    panel.leave_room_in(400)
    assert panel.sizeHint().height() < min(high, 150)
