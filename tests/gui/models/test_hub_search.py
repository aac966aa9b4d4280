from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtTest import QTest
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.domain.errors import HubUnreachable
from app.domain.fit import FitVerdict
from app.domain.hub import HubModel, HubSort
from app.domain.models import Capability
from app.gui.bridge import Bridge
from app.gui.models.hub_hits import Heading, HitsModel
from app.gui.models.hub_lookup import Hit, Named
from app.gui.models.hub_search import HubSearch
from app.service.services import Services
from tests.gui.stand_ins import StandInHub


def _model(name: str, **changes: Any) -> HubModel:
    fields: dict[str, Any] = {"downloads": 1_234_567, "license": "mit", "parameters": 8_000_000_000}
    return HubModel(f"acme/{name}", **{**fields, **changes})


@pytest.fixture
def hub(services: Services) -> StandInHub:
    made = cast(StandInHub, services.hub)
    made.pages = {
        "": tuple(_model(f"Trending-{number}") for number in range(70)),
        "small": (_model("Small-GGUF"), _model("Small-VL-GGUF", capabilities=frozenset({Capability.VISION}), gated=True)),
    }
    return made


@pytest.fixture
def search(qtbot: QtBot, services: Services, bridge: Bridge, hub: StandInHub) -> HubSearch:
    made = HubSearch(services, bridge)
    qtbot.addWidget(made)
    made.resize(700, 500)
    return made


def _titles(search: HubSearch) -> list[str]:
    return [search.hits.index(row).data() for row in range(search.hits.rowCount())]


def _show(search: HubSearch, qtbot: QtBot) -> None:
    search.show()
    qtbot.waitUntil(lambda: any(title.startswith("Trending-") for title in _titles(search)))


def _scroll_until(search: HubSearch, qtbot: QtBot, holds: Callable[[], bool]) -> None:
    """Scroll to the end, again whenever the list has grown (it is laid out later than its rows come), until `holds`."""
    bar = search.list.verticalScrollBar()

    def scrolled() -> bool:
        bar.setValue(bar.maximum())
        return holds()

    qtbot.waitUntil(scrolled)


def test_nothing_is_asked_of_the_hub_before_the_page_is_seen(search: HubSearch, qtbot: QtBot, hub: StandInHub) -> None:
    assert hub.queries == []
    _show(search, qtbot)
    assert hub.queries[0].sort is HubSort.TRENDING


def test_an_empty_field_shows_what_is_recommended_and_what_is_trending(search: HubSearch, qtbot: QtBot) -> None:
    _show(search, qtbot)
    qtbot.waitUntil(lambda: "Recommended for this computer" in _titles(search))
    titles = _titles(search)
    assert titles[0] == "Recommended for this computer"
    assert titles.index("On the hub: trending") > 2
    fitting = {search.hits.row(search.hits.index(row)) for row in range(1, titles.index("On the hub: trending"))}
    assert all(not isinstance(row, Heading) and row is not None and row.verdict is not FitVerdict.TOO_LARGE for row in fitting)


def test_typing_searches_once_the_person_rests(search: HubSearch, qtbot: QtBot, hub: StandInHub) -> None:
    _show(search, qtbot)
    asked = len(hub.queries)
    QTest.keyClicks(search.field, "small")
    qtbot.waitUntil(lambda: "Small-GGUF" in _titles(search))
    assert [query.text for query in hub.queries[asked:]] == ["small"]


def test_more_comes_before_the_end_of_the_list_is_reached(search: HubSearch, qtbot: QtBot, hub: StandInHub) -> None:
    _show(search, qtbot)
    _scroll_until(search, qtbot, lambda: "Trending-69" in _titles(search))
    assert len([title for title in _titles(search) if title.startswith("Trending-")]) == 70
    assert [query.cursor for query in hub.queries] == ["", "30", "60"]


def test_filters_go_into_the_query_and_can_be_cleared(search: HubSearch, qtbot: QtBot, hub: StandInHub) -> None:
    _show(search, qtbot)
    search.filters.chips[Capability.VISION].click()
    search.filters.license.menu().actions()[3].trigger()
    search.filters.parameters.menu().actions()[1].trigger()
    search.filters.sort.menu().actions()[1].trigger()
    qtbot.waitUntil(lambda: hub.queries[-1].sort is HubSort.DOWNLOADS)
    asked = hub.queries[-1]
    assert asked.capabilities == {Capability.VISION}
    assert asked.licenses == {"mit"}
    assert (asked.least_parameters, asked.most_parameters) == (0, 2_000_000_000)
    search.filters.clear_button.click()
    qtbot.waitUntil(lambda: not hub.queries[-1].capabilities)
    asked = hub.queries[-1]
    assert (asked.licenses, asked.most_parameters, asked.sort) == (frozenset(), 0, HubSort.DOWNLOADS)


def test_what_fits_is_asked_for_as_a_bound_on_the_parameters(search: HubSearch, qtbot: QtBot, hub: StandInHub) -> None:
    _show(search, qtbot)
    search.filters.fitting.click()
    qtbot.waitUntil(lambda: hub.queries[-1].most_parameters > 0)
    # The stand-in lets 15 GB fit.
    assert 24_000_000_000 < hub.queries[-1].most_parameters < 25_100_000_000


def test_a_hub_that_cant_be_reached_leaves_the_known_models_and_can_be_asked_again(
    search: HubSearch, qtbot: QtBot, hub: StandInHub
) -> None:
    hub.fails = HubUnreachable("huggingface.co can't be reached. Check the network connection.")
    search.show()
    qtbot.waitUntil(lambda: "Check the network connection." in search.banner.text)
    qtbot.waitUntil(lambda: "Recommended for this computer" in _titles(search))
    hub.fails = None
    search.banner.acted.emit()
    qtbot.waitUntil(lambda: "Trending-0" in _titles(search))
    assert search.banner.isHidden()


def test_a_page_that_fails_later_keeps_what_was_found(search: HubSearch, qtbot: QtBot, hub: StandInHub) -> None:
    _show(search, qtbot)
    hub.fails = HubUnreachable("huggingface.co can't be reached. Check the network connection.")
    _scroll_until(search, qtbot, lambda: bool(search.banner.text))
    found = _titles(search)[-1]
    assert "Trending-0" in _titles(search)
    assert "Trending-69" not in _titles(search)
    hub.fails = None
    search.banner.acted.emit()
    qtbot.waitUntil(lambda: _titles(search)[-1] != found)


def test_few_among_many_are_looked_for_further_only_when_asked(search: HubSearch, qtbot: QtBot, hub: StandInHub) -> None:
    hub.page_size = 0
    hub.pages["rare"] = (_model("Rare"),)
    search.field.setText("rare")
    search.show()
    qtbot.waitUntil(search.further_button.isVisible)
    asked = len(hub.queries)
    hub.page_size = 1
    search.further_button.click()
    qtbot.waitUntil(lambda: "Rare" in _titles(search))
    assert len(hub.queries) == asked + 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("bge-m3", Named("gpustack/bge-m3-GGUF", "Q8_0")),
        ("acme/Small-GGUF", Named("acme/Small-GGUF")),
        ("acme/Small-GGUF:Q5_K_M", Named("acme/Small-GGUF", "Q5_K_M")),
        ("https://huggingface.co/acme/Small-GGUF", Named("acme/Small-GGUF")),
    ],
)
def test_enter_opens_a_name_or_an_address(search: HubSearch, qtbot: QtBot, text: str, named: Named) -> None:
    search.field.setText(text)
    with qtbot.waitSignal(search.opened) as opened:
        QTest.keyClick(search.field, Qt.Key.Key_Return)
    assert opened.args == [named]


def test_enter_looks_for_mere_words_at_once(search: HubSearch, qtbot: QtBot) -> None:
    _show(search, qtbot)
    search.field.setText("small")
    QTest.keyClick(search.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "Small-GGUF" in _titles(search))


def test_an_address_of_something_else_says_what_it_is(search: HubSearch, qtbot: QtBot) -> None:
    search.field.setText("https://huggingface.co/datasets/acme/words")
    QTest.keyClick(search.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "datasets" in search.banner.text)


def test_the_keyboard_goes_from_the_field_into_the_list_past_the_heading_and_opens(search: HubSearch, qtbot: QtBot) -> None:
    search.field.setText("small")
    search.show()
    qtbot.waitUntil(lambda: "Small-GGUF" in _titles(search))
    QTest.keyClick(search.field, Qt.Key.Key_Down)
    assert search.list.currentIndex().data() == "Small-GGUF"
    with qtbot.waitSignal(search.opened) as opened:
        search.list.activated.emit(search.list.currentIndex())
    assert opened.args == [Named("acme/Small-GGUF")]


def test_nothing_found_says_what_may_help(search: HubSearch, qtbot: QtBot) -> None:
    search.field.setText("xyzzy")
    search.show()
    qtbot.waitUntil(lambda: search.empty_text.startswith("Nothing found"))


def test_another_hub_is_asked_anew(search: HubSearch, qtbot: QtBot, hub: StandInHub, services: Services, on_loop: Any) -> None:
    _show(search, qtbot)
    asked = len(hub.queries)
    on_loop(lambda: services.settings.update(hub_endpoint="https://mirror.example"))
    qtbot.waitUntil(lambda: len(hub.queries) > asked)


def test_a_row_speaks_of_everything_it_shows(search: HubSearch, qtbot: QtBot) -> None:
    search.field.setText("small")
    search.show()
    qtbot.waitUntil(lambda: "Small-VL-GGUF" in _titles(search))
    row = _titles(search).index("Small-VL-GGUF")
    qtbot.waitUntil(lambda: "Fits in memory" in search.hits.index(row).data(Qt.ItemDataRole.AccessibleTextRole))
    spoken = search.hits.index(row).data(Qt.ItemDataRole.AccessibleTextRole)
    for expected in ("Small-VL-GGUF", "8.0 billion parameters", "mit", "1.2 M downloads", "Vision", "Gated", "Fits in memory"):
        assert expected in spoken


def test_the_list_keeps_qts_rules_and_lists_nothing_twice(qtmodeltester: ModelTester) -> None:
    model = HitsModel()
    first, second = Hit(_model("a"), None), Hit(_model("b"), FitVerdict.GPU)
    model.set_rows((Heading("On the hub"), first))
    model.add_rows((first, second))
    assert [model.index(row).data() for row in range(model.rowCount())] == ["On the hub", "a", "b"]
    assert model.named(model.index(0)) is None
    assert model.named(QModelIndex()) is None
    qtmodeltester.check(model)
