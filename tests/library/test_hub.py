"""Listings through the real huggingface_hub client, from a hub on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.domain.errors import AccessDenied, HubUnreachable, RepositoryNotFound
from app.domain.models import Capability
from app.library.hub import Hub
from app.library.model_card import MAX_CARD_BYTES
from tests.fake_hub import FakeHub, HubFacts

pytestmark = pytest.mark.anyio

FILES = {
    "m-Q4_K_M.gguf": b"q" * 4000,
    "m-Q8_0.gguf": b"Q" * 8000,
    "mmproj-F16.gguf": b"p" * 2000,
    "README.md": b"# hi",
}


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add("org/repo", FILES)
        yield hub


async def test_a_repository_is_listed_with_sizes_hashes_and_facts(fake: FakeHub) -> None:
    hub = Hub(endpoint=fake.endpoint)

    repository = await hub.repository("org/repo")

    assert repository.id == "org/repo"
    assert len(repository.revision) == 40
    assert repository.license == "apache-2.0"
    assert repository.downloads == 1234
    assert not repository.gated
    assert [(file.label, file.size_bytes, file.quantization) for file in repository.models] == [
        ("m-Q4_K_M.gguf", 4000, "Q4_K_M"),
        ("m-Q8_0.gguf", 8000, "Q8_0"),
    ]
    assert [file.label for file in repository.projectors] == ["mmproj-F16.gguf"]
    assert all(sha256 and len(sha256) == 64 for file in repository.files for sha256 in file.sha256)
    assert Hub.best_projector(repository, repository.models[0]) == repository.projectors[0]


async def test_a_pasted_address_of_the_hub_in_use_is_understood(fake: FakeHub) -> None:
    repository = await Hub(endpoint=f"{fake.endpoint}/").repository(f"{fake.endpoint}/org/repo/tree/main")

    assert repository.id == "org/repo"
    assert fake.requests[-1].path == "/api/models/org/repo/revision/main"


async def test_nothing_but_the_listing_is_asked_for(fake: FakeHub) -> None:
    await Hub(endpoint=fake.endpoint).repository("org/repo")

    assert [request.path for request in fake.requests] == ["/api/models/org/repo"]


async def test_a_gated_repository_is_listed_and_says_so(fake: FakeHub) -> None:
    fake.add("org/gated", FILES, gated=True)

    assert (await Hub(endpoint=fake.endpoint).repository("org/gated")).gated


async def test_a_repository_has_the_facts_that_the_hub_tells(fake: FakeHub) -> None:
    gguf = {"total": 4_000_000_000, "architecture": "gemma3", "context_length": 8192, "chat_template": "{{ messages }}"}
    facts = HubFacts(likes=9, base_model="google/gemma-3-4b-it", gguf=gguf, tags=("region:us",))
    fake.add("org/facts", FILES, facts=facts)

    repository = await Hub(endpoint=fake.endpoint).repository("org/facts")

    assert (repository.likes, repository.architecture, repository.parameters) == (9, "gemma3", 4_000_000_000)
    assert (repository.n_ctx_train, repository.base_model) == (8192, "google/gemma-3-4b-it")
    assert repository.updated == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    # The projector among its files is what makes it see.
    assert repository.capabilities == {Capability.CHAT, Capability.COMPLETION, Capability.VISION}


async def test_facts_of_the_wrong_kind_are_left_out(fake: FakeHub) -> None:
    gguf = {"total": "many", "architecture": 7, "context_length": -1, "chat_template": ["x"]}
    fake.add("org/odd", {"m.gguf": b"q" * 4000}, facts=HubFacts(gguf=gguf))

    repository = await Hub(endpoint=fake.endpoint).repository("org/odd")

    assert (repository.parameters, repository.architecture, repository.n_ctx_train) == (0, "", 0)
    assert repository.capabilities == {Capability.COMPLETION}


async def test_a_model_card_comes_without_front_matter(fake: FakeHub) -> None:
    fake.add("org/card", {**FILES, "README.md": b"---\nlicense: mit\n---\n# Hello\n" + b"word " * 500})
    hub = Hub(endpoint=fake.endpoint)
    repository = await hub.repository("org/card")

    card = await hub.card(repository)

    assert card.startswith("# Hello\nword word")
    sent = len(fake.requests)
    assert await hub.card(repository) == card
    assert len(fake.requests) == sent


async def test_a_huge_model_card_is_read_up_to_a_bound(fake: FakeHub) -> None:
    fake.add("org/huge", {**FILES, "README.md": b"A line of text.\n" * 1_000_000})
    hub = Hub(endpoint=fake.endpoint)

    card = await hub.card(await hub.repository("org/huge"))

    assert len(card) < MAX_CARD_BYTES
    assert card.endswith("A line of text.\n\n…")


async def test_a_repository_without_a_card_has_an_empty_one(fake: FakeHub) -> None:
    fake.add("org/bare", {"m-Q4_K_M.gguf": b"q" * 4000})
    hub = Hub(endpoint=fake.endpoint)

    assert await hub.card(await hub.repository("org/bare")) == ""


async def test_a_refusal_says_where_the_licence_is(fake: FakeHub) -> None:
    fake.add("org/gated", FILES, gated=True)
    hub = Hub(endpoint=fake.endpoint)

    with pytest.raises(AccessDenied) as denied:
        await hub.card(await hub.repository("org/gated"))

    assert (denied.value.repository, denied.value.license_url) == ("org/gated", f"{fake.endpoint}/org/gated")


async def test_a_private_repository_needs_the_token(fake: FakeHub) -> None:
    fake.add("org/private", FILES, private=True)

    with pytest.raises(RepositoryNotFound, match="org/private"):
        await Hub(endpoint=fake.endpoint).repository("org/private")
    assert (await Hub(endpoint=fake.endpoint, token="hf_secret").repository("org/private")).models


async def test_a_saved_token_is_not_sent_to_a_mirror(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_saved")
    hub = Hub(endpoint=fake.endpoint)

    await hub.repository("org/repo")

    assert "authorization" not in fake.requests[-1].headers
    assert await hub.headers(f"{fake.endpoint}/org/repo") == {}
    official = "https://huggingface.co"
    assert await Hub(endpoint=official).headers(f"{official}/org/repo") == {"authorization": "Bearer hf_saved"}


async def test_files_whose_sizes_a_hub_does_not_tell_are_none_to_choose(fake: FakeHub) -> None:
    fake.add("org/empty", {**FILES, "nothing-Q8_0.gguf": b""})
    listing = await Hub(endpoint=fake.endpoint).repository("org/empty")
    assert "nothing-Q8_0.gguf" not in [file.label for file in listing.models]


async def test_a_repository_that_is_not_there_is_named(fake: FakeHub) -> None:
    with pytest.raises(RepositoryNotFound, match="org/none"):
        await Hub(endpoint=fake.endpoint).repository("org/none")


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AccessDenied), (403, AccessDenied), (404, RepositoryNotFound), (429, HubUnreachable), (503, HubUnreachable)],
)
async def test_an_error_of_the_hub_is_told_apart(fake: FakeHub, status: int, error: type[Exception]) -> None:
    fake.faults.api_status = status

    with pytest.raises(error):
        await Hub(endpoint=fake.endpoint).repository("org/repo")


async def test_a_login_page_in_between_is_recognised(fake: FakeHub) -> None:
    fake.faults.api_status = 200

    with pytest.raises(HubUnreachable, match="login page"):
        await Hub(endpoint=fake.endpoint).repository("org/repo")


async def test_no_network_is_a_plain_sentence() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"

        with pytest.raises(HubUnreachable, match="Check the network connection"):
            await Hub(endpoint=endpoint).repository("org/repo")


async def test_file_addresses_name_the_commit_and_are_quoted(fake: FakeHub) -> None:
    hub = Hub(endpoint=fake.endpoint)
    repository = await hub.repository("org/repo")

    assert hub.file_url(repository, "sub/a b#c.gguf") == (
        f"{fake.endpoint}/org/repo/resolve/{repository.revision}/sub/a%20b%23c.gguf"
    )
