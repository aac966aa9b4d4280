from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from app.domain.errors import ModelLoadFailed
from app.domain.fit import Fit
from app.domain.memory import HOST, DeviceNeed, MemoryPlan
from app.gui.bridge import Bridge
from app.gui.models.load_dialog import LoadDialog, context_steps
from app.gui.models.memory_bar import MemoryBars, need_text
from app.service.services import Services
from tests.gui.stand_ins import StandInFit, a_model

OnLoop = Callable[[Callable[[], Any]], Any]
GIB = 1024**3


class Growing(StandInFit):
    """8 GiB are free; a model takes 4, and one more for every 8,192 tokens. Automatic is what fits."""

    weights_gib = 4
    automatic = 16384

    async def installed(self, model_id: str, *, n_ctx: int | None = None) -> Fit:
        self._said(model_id, n_ctx)
        cells = n_ctx or self.automatic
        need = DeviceNeed(HOST, self.weights_gib * GIB, cells * GIB // 8192, 0, free_bytes=8 * GIB, margin_bytes=GIB)
        return Fit.of(MemoryPlan(cells, 0, 33, (need,), wanted_ctx=cells))


@pytest.fixture
def fit() -> Growing:
    return Growing()


@pytest.fixture
def services(services: Services, fit: Growing) -> Services:
    return dataclasses.replace(services, fit=cast(Any, fit))


@pytest.fixture
def dialog(qtbot: QtBot, services: Services, bridge: Bridge) -> LoadDialog:
    made = LoadDialog(services, bridge)
    qtbot.addWidget(made)
    return made


def _open(dialog: LoadDialog, qtbot: QtBot) -> None:
    dialog.ask(a_model("ember"))
    qtbot.waitUntil(lambda: bool(_figures(dialog)))


def _figures(dialog: LoadDialog) -> list[str]:
    labels = (one for one in dialog.bars.findChildren(QLabel) if one.isVisible())
    return [one.text() for one in labels if "needed of" in one.text()]


def test_it_begins_with_what_is_set_and_shows_what_that_takes(dialog: LoadDialog, qtbot: QtBot, fit: Growing) -> None:
    _open(dialog, qtbot)
    assert dialog.automatic.switch.isChecked()
    assert not dialog.slider.isEnabled()
    assert dialog.spin.value() == 16384
    assert _figures(dialog) == ["6.0 GiB needed of 7.0 GiB"]
    assert fit.asked == [("ember", 0)]


def test_a_context_set_for_the_model_is_shown(
    dialog: LoadDialog, qtbot: QtBot, services: Services, on_loop: OnLoop, fit: Growing
) -> None:
    on_loop(lambda: services.profiles.update("ember", {"n_ctx": 8192}))
    _open(dialog, qtbot)
    assert not dialog.automatic.switch.isChecked()
    assert (dialog.spin.value(), fit.asked) == (8192, [("ember", 8192)])


def test_slider_and_number_follow_each_other(dialog: LoadDialog, qtbot: QtBot) -> None:
    _open(dialog, qtbot)
    dialog.automatic.switch.click()
    dialog.slider.setFocus()
    qtbot.keyClick(dialog.slider, Qt.Key.Key_End)
    assert dialog.spin.value() == 32768
    dialog.spin.setValue(4096)
    assert context_steps(32768)[dialog.slider.value()] == 4096
    qtbot.waitUntil(lambda: _figures(dialog) == ["4.5 GiB needed of 7.0 GiB"])


def test_only_the_last_of_many_choices_is_asked_about(dialog: LoadDialog, qtbot: QtBot, fit: Growing) -> None:
    _open(dialog, qtbot)
    dialog.automatic.switch.click()
    fit.asked.clear()
    for n_ctx in range(1024, 21504, 1024):
        dialog.spin.setValue(n_ctx)
    qtbot.waitUntil(lambda: _figures(dialog) == ["6.5 GiB needed of 7.0 GiB"])
    assert len(fit.asked) <= 2


def test_the_choice_is_kept_and_then_the_model_is_loaded(
    dialog: LoadDialog, qtbot: QtBot, services: Services, on_loop: OnLoop
) -> None:
    _open(dialog, qtbot)
    dialog.automatic.switch.click()
    dialog.spin.setValue(8192)
    with qtbot.waitSignal(dialog.load_asked) as asked:
        dialog.load_button.click()
    assert asked.args == ["ember", False]
    assert on_loop(lambda: services.settings.current.models["ember"].n_ctx) == 8192
    assert not dialog.isVisible()


@pytest.mark.parametrize(("general", "kept"), [(0, None), (4096, 0)])
def test_automatic_is_kept_so_that_it_holds(
    dialog: LoadDialog, qtbot: QtBot, services: Services, on_loop: OnLoop, general: int, kept: int | None
) -> None:
    on_loop(lambda: services.settings.update(n_ctx=general))
    on_loop(lambda: services.profiles.update("ember", {"n_ctx": 8192}))
    _open(dialog, qtbot)
    dialog.automatic.switch.click()
    with qtbot.waitSignal(dialog.load_asked):
        dialog.load_button.click()
    assert on_loop(lambda: services.settings.current.models["ember"].n_ctx) == kept


def test_cancel_keeps_and_loads_nothing(dialog: LoadDialog, qtbot: QtBot, services: Services, on_loop: OnLoop) -> None:
    _open(dialog, qtbot)
    dialog.automatic.switch.click()
    with qtbot.assertNotEmitted(dialog.load_asked):
        dialog.cancel_button.click()
    assert on_loop(lambda: services.settings.current.models) == {}


def test_what_is_too_large_can_be_made_to_fit(dialog: LoadDialog, qtbot: QtBot) -> None:
    _open(dialog, qtbot)
    dialog.automatic.switch.click()
    dialog.spin.setValue(32768)
    qtbot.waitUntil(lambda: dialog.load_button.text() == "Try anyway")
    assert "Too large" in dialog.verdict
    assert dialog.advice.text == "There is room for 16K tokens of context."
    dialog.advice.acted.emit()
    qtbot.waitUntil(lambda: dialog.load_button.text() == "Load")
    assert dialog.n_ctx == 16384


def test_what_is_too_large_can_be_tried_all_the_same(dialog: LoadDialog, qtbot: QtBot, fit: Growing) -> None:
    fit.weights_gib = 20
    _open(dialog, qtbot)
    assert dialog.advice.isHidden()
    with qtbot.waitSignal(dialog.load_asked) as asked:
        dialog.load_button.click()
    assert asked.args == ["ember", True]


def test_what_can_t_be_told_is_said_and_does_not_keep_one_from_loading(dialog: LoadDialog, qtbot: QtBot, fit: Growing) -> None:
    fit.fits["ember"] = ModelLoadFailed("ember", "its adapter is gone")
    dialog.ask(a_model("ember"))
    qtbot.waitUntil(lambda: "Its adapter is gone" in dialog.banner.text)
    with qtbot.waitSignal(dialog.load_asked) as asked:
        dialog.load_button.click()
    assert asked.args == ["ember", False]


def test_memory_that_others_free_is_seen(dialog: LoadDialog, qtbot: QtBot, fit: Growing, on_loop: OnLoop) -> None:
    fit.weights_gib = 20
    _open(dialog, qtbot)
    assert dialog.load_button.text() == "Try anyway"
    fit.weights_gib = 4
    on_loop(lambda: fit.changed.notify(None))
    qtbot.waitUntil(lambda: dialog.load_button.text() == "Load")


def test_a_limit_that_is_in_the_way_is_told(qtbot: QtBot) -> None:
    bars = MemoryBars()
    qtbot.addWidget(bars)
    need = DeviceNeed(HOST, 4 * GIB, 0, 0, free_bytes=32 * GIB)
    bars.show_fit(Fit.of(MemoryPlan(512, 0, 33, (need,), limit_bytes=3 * GIB)))
    texts = [one.text() for one in bars.findChildren(QLabel)]
    assert "It needs 4.0 GiB in all, and the memory limit leaves 3.0 GiB." in texts


def test_a_bar_says_in_words_what_it_shows() -> None:
    need = DeviceNeed("CUDA0", 4 * GIB, GIB, 0, projector_bytes=GIB, free_bytes=8 * GIB, margin_bytes=GIB)
    assert need_text(need) == (
        "Graphics card CUDA0: 6.0 GiB needed (Weights 4.0 GiB, Context 1.0 GiB, Pictures 1.0 GiB), 8.0 GiB free, "
        "of which 1.0 GiB are left to other programs."
    )


def test_a_slider_stops_at_every_power_of_two_and_at_the_longest() -> None:
    steps = context_steps(40960)
    assert {512, 1024, 4096, 32768, 40960} <= set(steps)
    assert steps == tuple(sorted(set(steps)))
    assert context_steps(400) == (400,)


def test_room_for_more_than_one_request_can_use_is_told_apart(dialog: LoadDialog, qtbot: QtBot, fit: Growing) -> None:
    fit.weights_gib, fit.automatic = 1, 40_960
    _open(dialog, qtbot)
    assert dialog.spin.value() == 32768
    assert dialog.verdict.endswith("Requests answered together share that; each can use up to 32K tokens.")
