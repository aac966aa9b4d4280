"""Listings through the real huggingface_hub client, from a hub on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from app.domain.errors import AccessDenied, HubUnreachable, RepositoryNotFound
from app.library.hub import Hub
from tests.fake_hub import FakeHub

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
    assert await hub.headers() == {}
    assert await Hub(endpoint="https://huggingface.co").headers() == {"authorization": "Bearer hf_saved"}


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
