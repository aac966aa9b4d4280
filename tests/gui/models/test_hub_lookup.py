from __future__ import annotations

from typing import cast

import pytest

from app.domain.errors import ModelLoadFailed
from app.domain.fit import FitVerdict
from app.domain.hub import HubModel, HubQuery
from app.domain.models import Capability
from app.gui.models.hub_lookup import HubLookup
from app.service.services import Services
from tests.gui.stand_ins import StandInFit, StandInHub

pytestmark = pytest.mark.anyio


@pytest.fixture
def lookup(services: Services) -> HubLookup:
    return HubLookup(services)


@pytest.fixture
def fit(services: Services) -> StandInFit:
    return cast(StandInFit, services.fit)


async def test_the_suggestions_run_at_ease_and_there_is_one_of_each_kind(lookup: HubLookup) -> None:
    suggested = await lookup.suggestions()
    families = [one.model.family for one in suggested]
    assert len(set(families)) == len(families) >= 4
    assert all(one.model.size_bytes <= 6_000_000_000 for one in suggested)
    assert any(Capability.EMBEDDING in one.model.capabilities for one in suggested)


async def test_a_large_gpu_is_suggested_larger_models(lookup: HubLookup, fit: StandInFit) -> None:
    fit.verdict, fit.room_bytes = FitVerdict.GPU, 80_000_000_000
    assert max(one.model.size_bytes for one in await lookup.suggestions()) > 50_000_000_000


async def test_words_find_sizes_of_their_family_first_and_then_other_families(lookup: HubLookup) -> None:
    names = [one.model.name for one in await lookup.known("gemma3", frozenset())]
    assert names[:2] == ["gemma3:4b", "gemma3:270m"]
    families = [one.model.family for one in await lookup.known("gem", frozenset())]
    assert families == ["gemma4", "gemma3", "gemma3n", "gemma2"]
    assert [one.model.name for one in await lookup.known("gemma3:2", frozenset())] == ["gemma3:270m", "gemma3:27b"]


async def test_the_catalogue_is_filtered_too(lookup: HubLookup) -> None:
    assert await lookup.known("bge", frozenset({Capability.VISION})) == ()
    assert await lookup.known("bge", frozenset({Capability.EMBEDDING}))


async def test_hits_are_rated_by_their_parameters(lookup: HubLookup, services: Services) -> None:
    hub = cast(StandInHub, services.hub)
    hub.pages[""] = (HubModel("a/8b", parameters=8 * 10**9), HubModel("a/70b", parameters=70 * 10**9), HubModel("a/unknown"))
    page = await lookup.page(HubQuery(), only_fitting=False)
    assert await lookup.verdicts(page.hits) == {"a/8b": FitVerdict.MEMORY, "a/70b": FitVerdict.TOO_LARGE}


async def test_the_narrower_bound_holds(lookup: HubLookup, services: Services) -> None:
    await lookup.page(HubQuery(most_parameters=2 * 10**9), only_fitting=True)
    assert cast(StandInHub, services.hub).queries[-1].most_parameters == 2 * 10**9


async def test_where_nothing_can_be_told_nothing_is_rated_and_nothing_left_out(
    lookup: HubLookup, services: Services, fit: StandInFit
) -> None:
    fit.fails = ModelLoadFailed("", "nobody knows the memory.")
    hub = cast(StandInHub, services.hub)
    hub.pages[""] = (HubModel("a/8b", parameters=8 * 10**9),)
    page = await lookup.page(HubQuery(), only_fitting=True)
    assert await lookup.verdicts(page.hits) == {}
    assert hub.queries[-1].most_parameters == 0
    assert await lookup.suggestions()


@pytest.mark.parametrize("text", ["small vision model", "llama", "70b"])
async def test_mere_words_name_no_repository(lookup: HubLookup, text: str) -> None:
    assert await lookup.named(text) is None
