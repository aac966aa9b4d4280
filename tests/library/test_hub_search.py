"""Searches through the real huggingface_hub client, of a hub on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from app.domain.errors import AccessDenied, HubBusy, HubUnreachable, InvalidRequest, NotAHub
from app.domain.hub import HubModel, HubQuery, HubSort, HubState, TokenSource
from app.domain.models import Capability
from app.library.hub import Hub
from tests.fake_hub import FakeHub, HubFacts

pytestmark = pytest.mark.anyio

GGUF = {"m-Q4_K_M.gguf": b"q" * 4000}
TEMPLATE = "{% if tools %}{{ tools }}{% endif %}<think>"


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add(
            "acme/Small-8B-GGUF",
            GGUF,
            facts=HubFacts(
                downloads=500,
                likes=7,
                trending=1,
                updated="2026-10-01T00:00:00.000Z",
                tags=("conversational", "text-generation"),
                pipeline_tag="text-generation",
                gguf={"total": 8_000_000_000, "architecture": "llama", "context_length": 131072, "chat_template": TEMPLATE},
            ),
        )
        hub.add(
            "acme/Eyes-4B-GGUF",
            GGUF,
            gated=True,
            facts=HubFacts(
                license="gemma",
                downloads=900,
                likes=3,
                trending=9,
                tags=("conversational",),
                pipeline_tag="image-text-to-text",
                gguf={
                    "total": 4_000_000_000,
                    "architecture": "gemma3",
                    "context_length": 8192,
                    "chat_template": "{{ messages }}",
                },
            ),
        )
        hub.add(
            "other/embed-GGUF",
            GGUF,
            facts=HubFacts(
                license="mit",
                downloads=10,
                likes=99,
                pipeline_tag="sentence-similarity",
                tags=("feature-extraction",),
                gguf={"total": 300_000_000, "architecture": "nomic-bert"},
            ),
        )
        hub.add("other/unknown", GGUF, facts=HubFacts(downloads=1, likes=0))
        yield hub


def hub_of(fake: FakeHub) -> Hub:
    return Hub(endpoint=fake.endpoint)


async def ids(fake: FakeHub, **query: object) -> list[str]:
    return [model.id for model in (await hub_of(fake).search(HubQuery(**query))).models]  # type: ignore[arg-type]


async def test_a_hit_has_the_facts_that_the_hub_tells(fake: FakeHub) -> None:
    page = await hub_of(fake).search(HubQuery(text="small"))

    assert page.models == (
        HubModel(
            id="acme/Small-8B-GGUF",
            downloads=500,
            likes=7,
            updated=datetime(2026, 10, 1, tzinfo=UTC),
            license="apache-2.0",
            architecture="llama",
            parameters=8_000_000_000,
            n_ctx_train=131072,
            capabilities=frozenset({Capability.CHAT, Capability.COMPLETION, Capability.TOOLS, Capability.REASONING}),
        ),
    )
    assert page.next == ""


async def test_nothing_typed_gives_what_trends(fake: FakeHub) -> None:
    page = await hub_of(fake).trending()

    assert [model.id for model in page.models][:2] == ["acme/Eyes-4B-GGUF", "acme/Small-8B-GGUF"]
    assert page.models[0].gated
    asked = parse_qs(fake.requests[-1].query)
    assert (asked["filter"], asked["sort"]) == (["gguf"], ["trendingScore"])


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        (HubSort.TRENDING, "acme/Eyes-4B-GGUF"),
        (HubSort.DOWNLOADS, "acme/Eyes-4B-GGUF"),
        (HubSort.LIKES, "other/embed-GGUF"),
        (HubSort.UPDATED, "acme/Small-8B-GGUF"),
    ],
)
async def test_hits_come_in_the_order_that_was_asked_for(fake: FakeHub, sort: HubSort, first: str) -> None:
    assert (await ids(fake, sort=sort))[0] == first


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"capabilities": {Capability.VISION}}, ["acme/Eyes-4B-GGUF"]),
        ({"capabilities": {Capability.EMBEDDING}}, ["other/embed-GGUF"]),
        ({"capabilities": {Capability.TOOLS}}, ["acme/Small-8B-GGUF"]),
        ({"capabilities": {Capability.REASONING, Capability.CHAT}}, ["acme/Small-8B-GGUF"]),
        ({"capabilities": {Capability.AUDIO}}, []),
        ({"licenses": {"mit"}}, ["other/embed-GGUF"]),
        ({"licenses": {"mit", "gemma"}}, ["acme/Eyes-4B-GGUF", "other/embed-GGUF"]),
        ({"author": "other"}, ["other/embed-GGUF", "other/unknown"]),
        ({"most_parameters": 4_000_000_000}, ["acme/Eyes-4B-GGUF", "other/embed-GGUF"]),
        ({"least_parameters": 4_000_000_000}, ["acme/Eyes-4B-GGUF", "acme/Small-8B-GGUF"]),
        ({"text": "acme small"}, ["acme/Small-8B-GGUF"]),
        ({"text": "nothing like it"}, []),
    ],
)
async def test_every_filter_narrows(fake: FakeHub, query: dict[str, object], found: list[str]) -> None:
    query = {name: frozenset(value) if isinstance(value, set) else value for name, value in query.items()}

    assert await ids(fake, **query) == found


async def test_a_pasted_address_is_searched_for_by_its_repository(fake: FakeHub) -> None:
    assert await ids(fake, text="https://huggingface.co/acme/Small-8B-GGUF/tree/main") == ["acme/Small-8B-GGUF"]


async def test_an_address_of_something_else_is_refused(fake: FakeHub) -> None:
    with pytest.raises(InvalidRequest, match="not the model hub"):
        await ids(fake, text="https://example.org/acme/Small-8B-GGUF")


async def test_pages_follow_each_other_without_gaps(fake: FakeHub) -> None:
    for number in range(70):
        fake.add(f"many/m{number:02}-GGUF", GGUF, facts=HubFacts(downloads=1000 - number))
    hub = hub_of(fake)
    seen: list[str] = []
    cursor = ""
    while True:
        page = await hub.search(HubQuery(author="many", sort=HubSort.DOWNLOADS, cursor=cursor))
        seen += [model.id for model in page.models]
        cursor = page.next
        if not cursor:
            break

    assert seen == [f"many/m{number:02}-GGUF" for number in range(70)]


async def test_a_page_of_sifted_hits_is_filled_from_several_of_the_hubs(fake: FakeHub) -> None:
    for number in range(250):
        size = 1_000_000_000 if number % 10 == 0 else 70_000_000_000
        fake.add(f"many/m{number:03}", GGUF, facts=HubFacts(downloads=1000 - number, gguf={"total": size}))
    hub = hub_of(fake)

    page = await hub.search(HubQuery(author="many", sort=HubSort.DOWNLOADS, most_parameters=2_000_000_000))

    assert [model.id for model in page.models] == [f"many/m{number:03}" for number in range(0, 200, 10)]
    assert page.next
    assert len(fake.requests) == 2


async def test_a_link_to_another_host_is_followed_on_the_hub_in_use_alone(fake: FakeHub) -> None:
    for number in range(40):
        fake.add(f"many/m{number:02}", GGUF)
    fake.faults.links_to = "http://192.0.2.1"
    hub = hub_of(fake)

    page = await hub.search(HubQuery(author="many"))

    assert "://" not in page.next
    assert len((await hub.search(HubQuery(author="many", cursor=page.next))).models) == 10


async def test_the_same_search_is_asked_once(fake: FakeHub) -> None:
    hub = hub_of(fake)

    assert await hub.search(HubQuery(text="small")) == await hub.search(HubQuery(text="small"))
    assert len(fake.requests) == 1
    await hub.search(HubQuery(text="smal"))
    assert len(fake.requests) == 2


async def test_a_hub_that_asks_to_wait_is_not_asked_again_and_says_for_how_long(fake: FakeHub) -> None:
    fake.faults.api_status = 429
    fake.faults.retry_after_s = 55

    with pytest.raises(HubBusy, match="in 55 seconds") as busy:
        await hub_of(fake).search(HubQuery())

    assert busy.value.retry_after_s == 55
    assert len(fake.requests) == 1


async def test_a_hub_that_is_down_is_tried_twice(fake: FakeHub) -> None:
    fake.faults.api_status = 503

    with pytest.raises(HubUnreachable, match="error 503"):
        await hub_of(fake).search(HubQuery())

    assert len(fake.requests) == 2


async def test_what_is_no_list_of_models_comes_from_no_hub(fake: FakeHub) -> None:
    fake.faults.api_status = 200

    with pytest.raises(NotAHub):
        await hub_of(fake).search(HubQuery())


async def test_a_refused_token_is_told_apart_from_a_gated_repository(fake: FakeHub) -> None:
    fake.faults.refuse_tokens = True
    hub = Hub(endpoint=fake.endpoint, token="hf_wrong")

    with pytest.raises(AccessDenied, match="refuses the access token") as refused:
        await hub.search(HubQuery())
    assert refused.value.license_url == ""
    with pytest.raises(AccessDenied, match="refuses the access token"):
        await hub.repository("acme/Small-8B-GGUF")


async def test_the_connection_is_tried_with_the_token(fake: FakeHub) -> None:
    test = await Hub(endpoint=fake.endpoint, token="hf_secret").test()

    assert (test.state, test.endpoint, test.token, test.user) == (HubState.OK, fake.endpoint, TokenSource.GIVEN, "ada")
    assert 0 < test.latency_s < 10
    assert test.reason == ""


async def test_without_a_token_nobody_is_asked_whose_it_is(fake: FakeHub) -> None:
    test = await hub_of(fake).test()

    assert (test.state, test.token, test.user) == (HubState.OK, None, "")
    assert [request.path for request in fake.requests] == ["/api/models"]


@pytest.mark.parametrize(("status", "state"), [(429, HubState.BUSY), (503, HubState.UNREACHABLE), (404, HubState.NOT_A_HUB)])
async def test_a_test_says_what_is_wrong(fake: FakeHub, status: int, state: HubState) -> None:
    fake.faults.api_status = status

    test = await hub_of(fake).test()

    assert test.state is state
    assert test.reason
    assert test.latency_s == 0


async def test_a_test_says_that_the_token_is_wrong(fake: FakeHub) -> None:
    assert (await Hub(endpoint=fake.endpoint, token="hf_wrong").test()).state is HubState.TOKEN_REFUSED
    fake.faults.refuse_tokens = True
    assert (await Hub(endpoint=fake.endpoint, token="hf_wrong").test()).state is HubState.TOKEN_REFUSED


async def test_a_test_of_nothing_and_of_offline_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await Hub(endpoint="http://127.0.0.1:9").test()).state is HubState.UNREACHABLE
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert (await Hub(endpoint="http://127.0.0.1:9").test()).state is HubState.OFFLINE
