from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.domain.models import LoadedModel, ModelState
from app.gui.bridge import Bridge
from app.gui.icons import TrayState
from app.gui.status import Status, StatusWatch
from app.service.loop import ServiceLoop
from app.service.server_control import ServerState
from app.service.services import Services

_ON = ServerState(running=True, address="http://127.0.0.1:8642/v1")


def _model(state: ModelState, **fields: object) -> LoadedModel:
    return LoadedModel("ember", state, **fields)  # type: ignore[arg-type]  # fields of LoadedModel


@pytest.mark.parametrize(
    ("status", "tray"),
    [
        (Status(), TrayState.STOPPED),
        (Status(_ON), TrayState.READY),
        (Status(ServerState(running=False, error="Port taken.")), TrayState.ERROR),
        (Status(_ON, (_model(ModelState.LOADING),)), TrayState.BUSY),
        (Status(_ON, (_model(ModelState.READY, active_requests=1),)), TrayState.BUSY),
        (Status(_ON, (_model(ModelState.READY),)), TrayState.READY),
    ],
)
def test_the_tray_state_sums_it_up(status: Status, tray: TrayState) -> None:
    assert status.tray is tray


def test_models_are_called_by_their_names() -> None:
    status = Status(models=(_model(ModelState.READY),), names={"ember": "Ember"})
    assert status.model_text == "Loaded: Ember"
    assert status.with_model(_model(ModelState.LOADING, progress=0.42)).model_text == "Loading Ember, 42 %"
    assert status.with_model(_model(ModelState.UNLOADED)).model_text == "No model loaded"


def test_the_watch_tells_of_what_was_and_what_comes(
    qtbot: QtBot, services: Services, bridge: Bridge, service: ServiceLoop
) -> None:
    watch = StatusWatch(services, bridge, bridge)
    qtbot.waitUntil(lambda: "second-model" in watch.status.names)
    assert not watch.status.server.running
    service.submit(services.server.start()).result()
    qtbot.waitUntil(lambda: watch.status.server.running)
    assert watch.status.server_text == "http://127.0.0.1:8642/v1"
