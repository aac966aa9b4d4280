from __future__ import annotations

from typing import cast

import pytest
from pytestqt.qtbot import QtBot

from app.domain.hub import HubState, HubTest, TokenSource
from app.gui.bridge import Bridge
from app.gui.settings.hub_test import HubTestRow
from app.service.services import Services
from tests.gui.stand_ins import StandInHub

_HUB = "https://huggingface.co"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (HubTest(_HUB, HubState.OK, latency_s=0.2), "answers in 0.2 s. No access token is sent."),
        (HubTest(_HUB, HubState.OK, latency_s=0.2, token=TokenSource.KEYRING, user="ada"), "The access token is ada's."),
        (HubTest(_HUB, HubState.OK, proxy="http://proxy:80"), "The proxy http://proxy:80 is in between."),
        (HubTest(_HUB, HubState.UNREACHABLE, reason="It can't be reached."), "It can't be reached."),
    ],
)
def test_what_came_of_it_is_told_and_it_can_be_tried_again(
    qtbot: QtBot, services: Services, bridge: Bridge, found: HubTest, words: str
) -> None:
    cast(StandInHub, services.hub).tested = found
    row = HubTestRow(services, bridge)
    qtbot.addWidget(row)
    for _ in range(2):
        row.test_button.click()
        assert row.result == "Asking…"
        qtbot.waitUntil(lambda: words in row.result)
