from __future__ import annotations

from typing import cast

import pytest
from pytestqt.qtbot import QtBot

from app.domain.hub import HubToken, TokenSource
from app.gui.bridge import Bridge
from app.gui.settings.hub_token import TokenField
from app.service.services import Services
from tests.gui.stand_ins import StandInHubAccess


@pytest.fixture
def access(services: Services) -> StandInHubAccess:
    return cast(StandInHubAccess, services.hub_access)


@pytest.fixture
def field(qtbot: QtBot, services: Services, bridge: Bridge) -> TokenField:
    made = TokenField(services, bridge)
    qtbot.addWidget(made)
    return made


def test_a_token_is_kept_leaves_the_field_and_can_be_removed(field: TokenField, qtbot: QtBot, access: StandInHubAccess) -> None:
    field.show()
    qtbot.waitUntil(lambda: field.state_text.startswith("None."))
    assert field.forget_button.isHidden()
    field.edit.setText("hf_secret")
    with qtbot.waitSignal(field.saved):
        field.save_button.click()
    qtbot.waitUntil(lambda: "keyring" in field.state_text)
    assert access.kept == HubToken("hf_secret", TokenSource.KEYRING)
    assert field.edit.text() == ""
    field.forget_button.click()
    qtbot.waitUntil(lambda: field.state_text.startswith("None."))
    assert access.kept is None


def test_what_is_no_token_is_refused_in_words_and_stays_to_be_mended(field: TokenField, qtbot: QtBot) -> None:
    field.show()
    field.edit.setText("refused")
    field.save_button.click()
    qtbot.waitUntil(lambda: "no access token" in field.error)
    assert field.edit.text() == "refused"
    field.edit.setText("hf_other")
    assert field.error == ""


def test_nothing_is_saved_while_nothing_is_typed(field: TokenField) -> None:
    field.edit.setText("  ")
    assert not field.save_button.isEnabled()


@pytest.mark.parametrize("source", list(TokenSource))
def test_each_place_that_holds_one_has_words_and_only_our_own_can_be_emptied(
    field: TokenField, qtbot: QtBot, access: StandInHubAccess, source: TokenSource
) -> None:
    access.kept = HubToken("hf_secret", source)
    field.show()
    qtbot.waitUntil(lambda: bool(field.state_text))
    assert "hf_secret" not in field.state_text
    assert field.forget_button.isVisible() == (source in (TokenSource.KEYRING, TokenSource.FILE))
