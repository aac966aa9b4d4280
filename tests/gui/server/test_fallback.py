from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from pytestqt.qtbot import QtBot

from app.domain.models import Capability
from app.gui.bridge import Bridge
from app.gui.server.fallback import FallbackField
from app.service.services import Services
from tests.gui.stand_ins import StandInLibrary, a_model

OnLoop = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def field(qtbot: QtBot, services: Services, bridge: Bridge) -> FallbackField:
    made = FallbackField(services, bridge)
    qtbot.addWidget(made)
    made.show()
    qtbot.waitUntil(lambda: len(made.menu.actions()) == 3)
    return made


def _checked(field: FallbackField) -> list[str]:
    return [action.text() for action in field.menu.actions() if action.isChecked()]


def test_unknown_names_are_refused_until_a_model_is_chosen_and_again_after_that(
    field: FallbackField, qtbot: QtBot, services: Services
) -> None:
    assert (field.button.text(), _checked(field)) == ("No model", ["No model"])
    field.menu.actions()[2].trigger()
    qtbot.waitUntil(lambda: field.button.text() == "Second Model")
    assert services.settings.current.fallback_model == "second-model"
    assert _checked(field) == ["Second Model"]
    assert "Second Model" in field.button.accessibleName()
    field.menu.actions()[0].trigger()
    qtbot.waitUntil(lambda: field.button.text() == "No model")
    assert services.settings.current.fallback_model == ""


def test_only_models_that_can_answer_are_offered_and_a_missing_one_is_called_so(
    field: FallbackField, qtbot: QtBot, services: Services, on_loop: OnLoop
) -> None:
    embedder = a_model("minilm", capabilities=frozenset({Capability.EMBEDDING}))
    library = cast(StandInLibrary, services.library)
    on_loop(lambda: services.settings.update(fallback_model="second-model"))
    on_loop(lambda: library.put(a_model("ember"), embedder))
    qtbot.waitUntil(lambda: field.button.text() == "second-model (not installed)")
    assert [action.text() for action in field.menu.actions()] == ["No model", "Ember", "second-model (not installed)"]
