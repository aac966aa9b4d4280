from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QListView
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.domain.models import Capability, LoadedModel, ModelState
from app.gui.models.model_list import ModelListModel, ModelRole, ModelRowDelegate, state_text
from tests.gui.stand_ins import a_model

_SEEING = a_model("seeing", capabilities=frozenset({Capability.CHAT, Capability.VISION}))
_BROKEN = a_model("broken", problem="The file ends too early.")


def test_the_model_keeps_qts_rules(qtmodeltester: ModelTester) -> None:
    model = ModelListModel()
    model.set_models([a_model("one"), _SEEING, _BROKEN])
    qtmodeltester.check(model)


def test_a_row_says_size_quantization_and_context() -> None:
    model = ModelListModel()
    model.set_models([a_model("one")])
    facts = model.index(0).data(ModelRole.FACTS)
    assert "Q4_K_M" in facts
    assert "4.4 GB" in facts
    assert "32K tokens" in facts


def test_a_model_that_cant_be_used_says_why_in_its_row() -> None:
    model = ModelListModel()
    model.set_models([_BROKEN])
    assert model.index(0).data(ModelRole.FACTS) == "The file ends too early."


def test_a_screen_reader_hears_everything_the_row_shows() -> None:
    model = ModelListModel()
    model.set_models([_SEEING])
    model.set_state(LoadedModel("seeing", ModelState.READY))
    spoken = model.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "can see pictures" in spoken
    assert "Loaded" in spoken


def test_a_state_that_comes_before_its_model_is_kept() -> None:
    model = ModelListModel()
    model.set_state(LoadedModel("late", ModelState.LOADING, progress=0.5))
    model.set_models([a_model("late")])
    assert model.index(0).data(ModelRole.STATE).progress == 0.5


def test_only_the_row_that_changed_is_announced(qtbot: QtBot) -> None:
    model = ModelListModel()
    model.set_models([a_model("one"), a_model("two")])
    with qtbot.waitSignal(model.dataChanged) as changed:
        model.set_state(LoadedModel("two", ModelState.READY))
    assert changed.args is not None
    assert changed.args[0].row() == changed.args[1].row() == 1


@pytest.mark.parametrize("state", list(ModelState))
def test_every_state_is_painted_and_has_words(qtbot: QtBot, state: ModelState) -> None:
    model = ModelListModel()
    model.set_models([_SEEING, _BROKEN])
    model.set_state(LoadedModel("seeing", state, progress=0.3))
    view = QListView()
    qtbot.addWidget(view)
    view.setModel(model)
    view.setItemDelegate(ModelRowDelegate(view))
    view.resize(260, 160)
    view.setCurrentIndex(model.index(0))
    view.show()
    assert not view.grab().isNull()
    assert bool(state_text(LoadedModel("seeing", state))) is (state is not ModelState.UNLOADED)
