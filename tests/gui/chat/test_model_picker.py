from __future__ import annotations

from typing import Any, cast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from app.domain.errors import ModelLoadFailed
from app.domain.models import LoadedModel, ModelState
from app.gui.chat.model_picker import ModelPicker
from tests.gui.chat.conftest import BLIND, EMBER, Bench


@pytest.fixture
def picker(bench: Bench, qtbot: QtBot) -> ModelPicker:
    made = ModelPicker(bench.services, bench.bridge)
    qtbot.addWidget(made)
    qtbot.addWidget(made.bar)
    made.show()
    qtbot.waitUntil(lambda: made.model is not None)
    return made


def rows(picker: ModelPicker) -> dict[str, QAction]:
    return {action.data(): action for action in picker.findChildren(QMenu)[0].actions() if action.data()}


def test_it_lists_the_models_with_size_and_whether_they_see(picker: ModelPicker) -> None:
    assert [action.text() for action in rows(picker).values()] == [
        "Ember\tsees pictures · 12.8 MB",
        "Blind 7B\t4.4 GB",
        "Broken\tcan't be used",
    ]
    assert [key for key, action in rows(picker).items() if action.isChecked()] == ["ember"]
    # Only the arrow of the button stands on the other side.
    assert picker.findChildren(QMenu)[0].layoutDirection() == Qt.LayoutDirection.LeftToRight


def test_choosing_a_model_loads_it_with_progress_and_remembers_it(picker: ModelPicker, bench: Bench, qtbot: QtBot) -> None:
    with qtbot.waitSignal(picker.model_chosen) as chosen:
        rows(picker)["blind-7b"].trigger()
    assert chosen.args == [BLIND]
    qtbot.waitUntil(lambda: picker.bar.isVisible() and picker.bar.value() == 40)
    with qtbot.waitSignal(picker.changed, check_params_cb=lambda state: state.state is ModelState.READY):
        bench.on_loop(cast(Any, bench.services.models).proceed.set)
    assert picker.bar.isHidden()
    qtbot.waitUntil(lambda: bench.services.settings.current.last_model == "blind-7b")


def test_a_model_that_can_not_be_loaded_says_why(picker: ModelPicker, bench: Bench, qtbot: QtBot) -> None:
    models = cast(Any, bench.services.models)
    models.fails = ModelLoadFailed("Blind 7B", "it needs 9 GB of memory, but 4 GB are free.")
    bench.on_loop(models.proceed.set)
    with qtbot.waitSignal(picker.problem, check_params_cb=bool) as problem:
        picker.choose("blind-7b")
    assert problem.args is not None
    assert "9 GB" in problem.args[0]


def test_a_damaged_model_says_so_at_once(picker: ModelPicker, qtbot: QtBot) -> None:
    with qtbot.waitSignal(picker.problem, check_params_cb=bool) as problem:
        picker.choose("broken")
    assert problem.args == ["The file is cut off."]


def test_a_model_that_is_gone_gives_way_to_the_first(picker: ModelPicker, bench: Bench, qtbot: QtBot) -> None:
    picker.use("blind-7b")
    assert picker.model == BLIND
    with qtbot.waitSignal(picker.model_chosen):
        bench.on_loop(lambda: cast(Any, bench.services.library).put(EMBER))
    assert picker.model == EMBER


def test_loading_of_another_model_is_not_shown(picker: ModelPicker, bench: Bench, qtbot: QtBot) -> None:
    models = cast(Any, bench.services.models)
    bench.on_loop(lambda: models.put(LoadedModel("blind-7b", ModelState.LOADING, 0.5)))
    with qtbot.waitSignal(picker.changed):
        bench.on_loop(lambda: models.put(LoadedModel("ember", ModelState.READY, 1.0)))
    assert picker.bar.isHidden()
