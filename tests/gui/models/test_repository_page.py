from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.domain.errors import AccessDenied, HubUnreachable, ModelLoadFailed
from app.domain.fit import Fit
from app.domain.hub import HubToken, TokenSource
from app.domain.memory import HOST, DeviceNeed, MemoryPlan
from app.domain.models import Capability
from app.gui.bridge import Bridge
from app.gui.models.hub_files import HubFilesModel
from app.gui.models.hub_lookup import Named
from app.gui.models.repository_page import RepositoryPage
from app.service.services import Services
from tests.gui.stand_ins import (
    StandInDesktop,
    StandInFit,
    StandInHub,
    StandInHubAccess,
    StandInLibrary,
    a_model,
    a_repository,
)

OnLoop = Callable[[Callable[[], Any]], Any]

_SMALL = Named("acme/Small-VL-GGUF")
_F16 = "Small-VL-F16-00001-of-00002.gguf"


@pytest.fixture
def hub(services: Services) -> StandInHub:
    return cast(StandInHub, services.hub)


@pytest.fixture
def fit(services: Services) -> StandInFit:
    return cast(StandInFit, services.fit)


@pytest.fixture
def page(qtbot: QtBot, services: Services, bridge: Bridge, desktop: StandInDesktop) -> RepositoryPage:
    made = RepositoryPage(services, bridge, desktop=desktop)
    qtbot.addWidget(made)
    made.resize(700, 560)
    made.show()
    return made


def _texts(page: RepositoryPage) -> str:
    return "\n".join(label.text() for label in page.findChildren(QLabel) if label.isVisible()).replace("\u00a0", " ")


def _look_at(page: RepositoryPage, qtbot: QtBot, named: Named = _SMALL) -> None:
    page.look_at(named)
    qtbot.waitUntil(lambda: page.files.rowCount() > 0)
    qtbot.waitUntil(lambda: all(page.files.fit(page.files.file(row)) for row in range(page.files.rowCount())))


def _too_large() -> Fit:
    need = DeviceNeed(HOST, 30_000_000_000, 500_000_000, 300_000_000, free_bytes=16_000_000_000, margin_bytes=1_000_000_000)
    return Fit.of(MemoryPlan(8192, 0, 33, (need,), wanted_ctx=8192))


def _row(page: RepositoryPage, quantization: str) -> int:
    row = page.files.row_of_quantization(quantization)
    assert row is not None
    return row


def _spoken(page: RepositoryPage, quantization: str, column: int) -> str:
    return str(page.files.index(_row(page, quantization), column).data(Qt.ItemDataRole.AccessibleTextRole))


def test_files_come_smallest_first_with_size_and_whether_they_fit(page: RepositoryPage, qtbot: QtBot, fit: StandInFit) -> None:
    fit.fits[_F16] = _too_large()
    _look_at(page, qtbot)
    rows = [
        [page.files.index(row, column).data(Qt.ItemDataRole.AccessibleTextRole) for column in range(3)]
        for row in range(page.files.rowCount())
    ]
    assert [row[:2] for row in rows] == [
        ["Q4_K_M", "1.3 GB"],
        ["Q8_0", "2.1 GB"],
        ["F16, Recommended", "4.0 GB"],
    ]
    assert [row[2] for row in rows] == ["Fits in memory", "Fits in memory", "Too large by 14.7 GiB"]


def test_the_facts_of_the_repository_are_told(page: RepositoryPage, qtbot: QtBot, hub: StandInHub) -> None:
    hub.repositories[_SMALL.repository] = a_repository(
        likes=99,
        parameters=2_100_000_000,
        n_ctx_train=32768,
        architecture="qwen3vl",
        base_model="acme/Small-VL",
        updated=datetime(2020, 1, 1, tzinfo=UTC),
        capabilities=frozenset({Capability.CHAT, Capability.VISION}),
    )
    _look_at(page, qtbot)
    shown = _texts(page)
    for expected in (
        "2.1 billion parameters",
        "32K tokens",
        "licence mit",
        "1.2 k downloads",
        "made of acme/Small-VL",
        "Vision",
    ):
        assert expected in shown


def test_the_recommended_file_is_chosen_unless_a_person_chose_or_meant_another(
    page: RepositoryPage, qtbot: QtBot, fit: StandInFit
) -> None:
    _look_at(page, qtbot)
    qtbot.waitUntil(lambda: page.table.currentIndex().row() == _row(page, "F16"))
    _look_at(page, qtbot, Named(_SMALL.repository, "Q8_0"))
    qtbot.waitUntil(lambda: "Recommended" in _spoken(page, "F16", 0))
    assert page.table.currentIndex().row() == _row(page, "Q8_0")


def test_download_asks_for_the_chosen_file_with_or_without_its_projector(page: RepositoryPage, qtbot: QtBot) -> None:
    _look_at(page, qtbot)
    page.table.selectRow(_row(page, "Q8_0"))
    assert page.download_button.text() == "Download 2.8 GB"
    with qtbot.waitSignal(page.download_asked) as asked:
        page.download_button.click()
    repository, file, projector = cast(list[Any], asked.args)
    assert (repository.id, file.quantization, projector.label) == (_SMALL.repository, "Q8_0", "mmproj-Small-VL-F16.gguf")
    page.projector_box.click()
    assert page.download_button.text() == "Download 2.1 GB"
    with qtbot.waitSignal(page.download_asked) as asked:
        page.download_button.click()
    assert cast(list[Any], asked.args)[2] is None


def test_a_model_that_is_too_large_says_by_how_much_and_may_be_downloaded_all_the_same(
    page: RepositoryPage, qtbot: QtBot, fit: StandInFit
) -> None:
    fit.fits[_F16] = _too_large()
    _look_at(page, qtbot)
    page.table.selectRow(_row(page, "F16"))
    assert "by 14.7 GiB" in _texts(page)
    assert page.download_button.isEnabled()


def test_where_it_cant_be_told_whether_a_file_fits_the_reason_is(page: RepositoryPage, qtbot: QtBot, fit: StandInFit) -> None:
    fit.fits[_F16] = ModelLoadFailed("x", "its header is damaged.")
    _look_at(page, qtbot)
    page.table.selectRow(_row(page, "F16"))
    assert "can't be told: its header is damaged." in _texts(page)


def test_what_is_installed_is_marked_as_soon_as_it_is(
    page: RepositoryPage, qtbot: QtBot, services: Services, on_loop: OnLoop
) -> None:
    _look_at(page, qtbot)
    path = Path("/models/acme/Small-VL-GGUF/Small-VL-Q4_K_M.gguf")
    library = cast(StandInLibrary, services.library)
    on_loop(lambda: library.put(a_model("small", path=path, files=(path,), repository=_SMALL.repository)))
    qtbot.waitUntil(lambda: "Installed" in _spoken(page, "Q4_K_M", 0))
    page.table.selectRow(_row(page, "Q4_K_M"))
    assert page.download_button.text() == "Download again"
    assert "Installed" not in _spoken(page, "Q8_0", 0)


def test_a_gated_repository_leads_to_its_licence_and_takes_a_token(
    page: RepositoryPage, qtbot: QtBot, hub: StandInHub, services: Services, desktop: StandInDesktop
) -> None:
    hub.repositories["acme/gated"] = a_repository(id="acme/gated", gated=True)
    _look_at(page, qtbot, Named("acme/gated"))
    qtbot.waitUntil(lambda: "gated" in page.notice.text)
    page.notice.acted.emit()
    page.gate.page_button.click()
    qtbot.waitUntil(lambda: desktop.pages == ["https://huggingface.co/acme/gated"])
    page.gate.token.edit.setText("hf_secret")
    page.gate.token.save_button.click()
    qtbot.waitUntil(lambda: not page.gate.isVisible() and page.table.isVisible())
    assert cast(StandInHubAccess, services.hub_access).kept is not None
    assert page.notice.isHidden()


def test_a_token_without_an_accepted_licence_is_noticed_when_a_file_is_asked_for(
    page: RepositoryPage, qtbot: QtBot, hub: StandInHub, services: Services, fit: StandInFit
) -> None:
    cast(StandInHubAccess, services.hub_access).kept = HubToken("hf_secret", TokenSource.KEYRING)
    hub.repositories["acme/gated"] = a_repository(id="acme/gated", gated=True)
    fit.fits[_F16] = AccessDenied("acme/gated is gated.", repository="acme/gated", license_url="https://x")
    _look_at(page, qtbot, Named("acme/gated"))
    qtbot.waitUntil(lambda: "gated" in page.notice.text)


def test_a_private_repository_asks_for_a_token_at_once(page: RepositoryPage, qtbot: QtBot, hub: StandInHub) -> None:
    hub.fails = AccessDenied("acme/private is private.", repository="acme/private")
    page.look_at(Named("acme/private"))
    qtbot.waitUntil(page.gate.isVisible)
    assert page.gate.leave_button.isHidden()
    hub.fails = None
    hub.repositories["acme/private"] = a_repository(id="acme/private")
    page.gate.retry_button.click()
    qtbot.waitUntil(page.table.isVisible)


def test_a_repository_without_gguf_files_says_so(page: RepositoryPage, qtbot: QtBot, hub: StandInHub) -> None:
    hub.repositories["acme/other"] = a_repository(id="acme/other", files=())
    page.look_at(Named("acme/other"))
    qtbot.waitUntil(lambda: "No GGUF files here" in _texts(page))


def test_an_unreachable_hub_is_told_in_words_and_can_be_asked_again(
    page: RepositoryPage, qtbot: QtBot, hub: StandInHub
) -> None:
    hub.fails = HubUnreachable("huggingface.co can't be reached. Check the network connection.")
    page.look_at(_SMALL)
    qtbot.waitUntil(lambda: "Check the network connection." in page.banner.text)
    hub.fails = None
    page.banner.acted.emit()
    qtbot.waitUntil(page.table.isVisible)
    assert page.banner.isHidden()


def test_the_model_card_is_read_when_it_is_looked_at_and_fetches_nothing(
    page: RepositoryPage, qtbot: QtBot, hub: StandInHub
) -> None:
    hub.cards[_SMALL.repository] = '# Small\n\n<img src="http://tracker/x.png">It *sees*.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n'
    _look_at(page, qtbot)
    assert page.card.view.widget_count == 0
    page.card_button.click()
    qtbot.waitUntil(lambda: page.card.view.widget_count == 2)
    assert page.card.note == ""
    page.look_at(_SMALL)
    assert page.card.view.widget_count == 0


def test_a_repository_without_a_card_says_so(page: RepositoryPage, qtbot: QtBot) -> None:
    _look_at(page, qtbot)
    page.card_button.click()
    qtbot.waitUntil(lambda: page.card.note == "This repository has no model card.")


def test_escape_leads_back(page: RepositoryPage, qtbot: QtBot) -> None:
    _look_at(page, qtbot)
    with qtbot.waitSignal(page.left):
        QTest.keyClick(page.table, Qt.Key.Key_Escape)


def test_an_answer_for_a_repository_that_was_left_changes_nothing(page: RepositoryPage, qtbot: QtBot, hub: StandInHub) -> None:
    hub.repositories["acme/late"] = a_repository(id="acme/late")
    page.look_at(Named("acme/late"))
    _look_at(page, qtbot)
    assert "acme/late" not in _texts(page)


def test_the_table_keeps_qts_rules(qtmodeltester: ModelTester) -> None:
    model = HubFilesModel()
    model.set_files(a_repository().models)
    qtmodeltester.check(model)
