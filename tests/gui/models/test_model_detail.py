from __future__ import annotations

import pytest
from PySide6.QtWidgets import QLabel, QPushButton
from pytestqt.qtbot import QtBot

from app.domain.fit import Fit
from app.domain.memory import HOST, DeviceNeed, MemoryPlan
from app.domain.models import Capability, InstalledModel, LoadedModel, ModelSource, ModelState
from app.gui.controls import ElidedLabel
from app.gui.models.model_detail import ModelDetail
from tests.gui.stand_ins import a_model


def _texts(detail: ModelDetail) -> str:
    labels = [label for label in detail.findChildren(QLabel) if not label.isHidden()]
    return "\n".join(label.full_text if isinstance(label, ElidedLabel) else label.text() for label in labels)


@pytest.fixture
def detail(qtbot: QtBot) -> ModelDetail:
    made = ModelDetail()
    qtbot.addWidget(made)
    made.resize(500, 600)
    return made


def _show(detail: ModelDetail, model: InstalledModel, state: ModelState = ModelState.UNLOADED, **fields: object) -> None:
    detail.show_model(model, LoadedModel(model.id, state, **fields))  # type: ignore[arg-type]  # fields of LoadedModel


def test_all_that_is_known_of_a_model_is_shown(detail: ModelDetail, qtbot: QtBot) -> None:
    _show(detail, a_model("seeing", capabilities=frozenset({Capability.CHAT, Capability.VISION})))
    qtbot.waitUntil(lambda: "Models folder" in _texts(detail))
    shown = _texts(detail)
    for expected in (
        "seeing",
        "4.4 GB",
        "Q4_K_M",
        "7.2 billion",
        "32K tokens",
        "llama",
        "apache-2.0",
        "Vision",
        "Models folder",
    ):
        assert expected in shown, expected


def test_loading_shows_progress_and_can_be_cancelled(detail: ModelDetail, qtbot: QtBot) -> None:
    _show(detail, a_model("one"), ModelState.LOADING, progress=0.25)
    assert detail.load_button.isHidden()
    assert detail.unload_button.text() == "Cancel"
    assert "Loading, 25 %" in _texts(detail)
    with qtbot.waitSignal(detail.unload_asked) as asked:
        detail.unload_button.click()
    assert asked.args == ["one"]


def test_a_loaded_model_can_be_unloaded_and_says_its_context(detail: ModelDetail) -> None:
    _show(detail, a_model("one"), ModelState.READY, n_ctx=4096)
    assert detail.unload_button.text() == "Unload"
    assert "4K tokens" in _texts(detail)


def test_a_model_that_cant_be_used_says_why_and_can_be_removed_but_not_loaded(detail: ModelDetail) -> None:
    _show(detail, a_model("broken", problem="The file ends too early."))
    assert "The file ends too early." in _texts(detail)
    assert not detail.load_button.isEnabled()
    assert not detail.remove_button.isHidden()


def test_a_load_that_failed_says_why_and_offers_to_load_again(detail: ModelDetail) -> None:
    _show(detail, a_model("one"), ModelState.FAILED, error="There is not enough memory.")
    assert "There is not enough memory." in _texts(detail)
    assert detail.load_button.isEnabled()


@pytest.mark.parametrize("source", [ModelSource.BUILT_IN, ModelSource.PATH])
def test_what_is_not_ours_to_remove_has_no_remove_button(detail: ModelDetail, source: ModelSource) -> None:
    _show(detail, a_model("one", source=source))
    assert detail.remove_button.isHidden()


def test_an_embedding_model_offers_no_chat(detail: ModelDetail) -> None:
    _show(detail, a_model("one", capabilities=frozenset({Capability.EMBEDDING})))
    assert detail.chat_button.isHidden()


def test_with_no_model_nothing_is_shown(detail: ModelDetail) -> None:
    _show(detail, a_model("one"))
    detail.show_model(None, LoadedModel("", ModelState.UNLOADED))
    assert detail.isHidden()


def test_whether_a_model_fits_is_no_question_once_it_is_in_memory(detail: ModelDetail) -> None:
    need = DeviceNeed(HOST, 9_000_000_000, 0, 0, free_bytes=8_000_000_000)
    _show(detail, a_model("one"))
    detail.show_fit("one", Fit.of(MemoryPlan(8192, 0, 33, (need,))))
    assert "Too large" in _texts(detail)
    assert detail.is_too_large
    _show(detail, a_model("one"), ModelState.READY, n_ctx=8192)
    assert "Too large" not in _texts(detail)
    assert "8.4 GiB needed of 7.5 GiB" in _texts(detail)


def test_in_a_narrow_window_it_does_not_move_sideways(detail: ModelDetail, qtbot: QtBot) -> None:
    _show(detail, a_model("one", capabilities=frozenset(Capability)))
    detail.show_settings("", ("a-name-that-goes-on-" * 10,), ())
    detail.resize(330, 600)
    qtbot.waitUntil(lambda: "Models folder" in _texts(detail))
    detail.grab()
    assert detail.horizontalScrollBar().maximum() == 0
    for made in detail.findChildren(QPushButton):
        if made.isVisibleTo(detail):
            assert made.mapTo(detail.viewport(), made.rect().bottomRight()).x() < detail.viewport().width()


def test_a_name_is_shown_as_it_is_written(detail: ModelDetail) -> None:
    _show(detail, a_model("one"))
    detail.show_settings("", ("this & that",), ())
    made = next(one for one in detail.findChildren(QPushButton) if "that" in one.accessibleName())
    assert made.text() == "this && that"


def test_the_keyboard_stays_with_loading_and_unloading(detail: ModelDetail, qtbot: QtBot) -> None:
    detail.show()
    _show(detail, a_model("one"))
    detail.load_button.setFocus()
    qtbot.waitUntil(detail.load_button.hasFocus)
    detail.show_state(LoadedModel("one", ModelState.LOADING))
    qtbot.waitUntil(detail.unload_button.hasFocus)
    detail.show_state(LoadedModel("one", ModelState.READY))
    detail.show_state(LoadedModel("one", ModelState.UNLOADING))
    detail.show_state(LoadedModel("one", ModelState.UNLOADED))
    qtbot.waitUntil(detail.load_button.hasFocus)
