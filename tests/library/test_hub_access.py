"""What is sent to whom, by which way, and when no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import constants

from app.domain.errors import HubOffline, HubUnreachable, SettingsError
from app.domain.hub import HubQuery, HubToken, TokenSource
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.library.hub_tokens import HubTokens
from app.settings import SettingsStore
from tests.fake_hub import FakeHub
from tests.library.fake_keyring import FakeKeyring

pytestmark = pytest.mark.anyio

FILES = {"m-Q4_K_M.gguf": b"q" * 400_000, "README.md": b"# hi"}


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add("org/repo", FILES)
        yield hub


@pytest.fixture
def settings(tmp_path: Path, fake: FakeHub) -> SettingsStore:
    return SettingsStore(tmp_path / "settings.json", overrides={"hub_endpoint": fake.endpoint})


@pytest.fixture
def access(tmp_path: Path, settings: SettingsStore) -> HubAccess:
    access = HubAccess(lambda: settings.current, HubTokens(tmp_path / "hub-tokens.json", FakeKeyring()))
    settings.changed.subscribe(access.settings_changed)
    return access


@pytest.fixture
async def hub(access: HubAccess) -> AsyncIterator[Hub]:
    hub = Hub(access)
    yield hub
    await hub.close()


async def test_an_entered_token_is_used_from_then_on_and_known_after_a_restart(
    tmp_path: Path, settings: SettingsStore, fake: FakeHub
) -> None:
    fake.add("org/private", FILES, private=True)
    keyring = FakeKeyring()
    access = HubAccess(lambda: settings.current, HubTokens(tmp_path / "t.json", keyring))

    assert await access.token() is None
    assert await access.set_token("hf_secret") is TokenSource.KEYRING

    assert await access.headers(f"{fake.endpoint}/x") == {"authorization": "Bearer hf_secret"}
    again = HubAccess(lambda: settings.current, HubTokens(tmp_path / "t.json", keyring))
    hub = Hub(again)
    assert (await hub.repository("org/private")).models
    await hub.close()
    await again.forget_token()
    assert await again.headers(f"{fake.endpoint}/x") == {}


async def test_another_hub_gets_no_token_that_was_not_entered_for_it(
    access: HubAccess, settings: SettingsStore, fake: FakeHub, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    await access.set_token("hf_secret")
    with FakeHub() as mirror:
        mirror.add("org/repo", FILES)
        settings.update(hub_endpoint=mirror.endpoint)

        await hub.repository("org/repo")
        await hub.search(HubQuery())

        assert all("authorization" not in request.headers for request in mirror.requests)
        assert len(mirror.requests) == 2


async def test_the_official_hub_gets_the_token_of_the_environment(
    settings: SettingsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", " hf_environment\n")
    settings.update(hub_endpoint="https://huggingface.co")

    token = await HubAccess(lambda: settings.current).token()

    assert token is not None
    assert (token.value, token.source) == ("hf_environment", TokenSource.ENVIRONMENT)


async def test_what_hugging_faces_own_tools_have_saved_is_used_last(
    tmp_path: Path, settings: SettingsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    settings.update(hub_endpoint="https://huggingface.co")
    assert await HubAccess(lambda: settings.current).token() is None
    (tmp_path / "token").write_text("hf_saved\n")

    assert await HubAccess(lambda: settings.current).token() == HubToken("hf_saved", TokenSource.HUGGING_FACE)
    settings.update(hub_endpoint="https://mirror.example")
    assert await HubAccess(lambda: settings.current).token() is None


async def test_one_that_was_entered_goes_before_that_of_the_environment(
    access: HubAccess, settings: SettingsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    settings.update(hub_endpoint="https://huggingface.co")
    await access.set_token("hf_entered")

    assert await access.headers("https://huggingface.co/x") == {"authorization": "Bearer hf_entered"}


async def test_a_token_is_shown_by_no_representation(access: HubAccess) -> None:
    await access.set_token("hf_secret")

    assert "hf_secret" not in repr(await access.token())


async def test_without_a_profile_none_can_be_kept(settings: SettingsStore) -> None:
    with pytest.raises(SettingsError, match="HF_TOKEN"):
        await HubAccess(lambda: settings.current).set_token("hf_secret")


@pytest.mark.parametrize(
    ("endpoint", "clear"),
    [
        ("https://mirror.example", False),
        ("http://mirror.example", True),
        ("http://localhost:80", False),
        ("http://[::1]", False),
    ],
)
async def test_a_hub_without_encryption_is_known(
    settings: SettingsStore, access: HubAccess, endpoint: str, clear: bool
) -> None:
    settings.update(hub_endpoint=endpoint)

    assert access.in_the_clear is clear


async def test_the_storage_behind_the_hub_gets_no_token(access: HubAccess, fake: FakeHub) -> None:
    fake.add("org/gated", FILES, gated=True)
    await access.set_token("hf_secret")
    hub = Hub(access)
    url = hub.file_url(await hub.repository("org/gated"), "m-Q4_K_M.gguf")

    async with access.client(timeout=5) as client:
        answer = await client.get(url, headers=await access.headers(url))

    assert answer.content == FILES["m-Q4_K_M.gguf"]
    assert "authorization" not in fake.transfers[0].headers
    await hub.close()


async def test_an_answer_from_elsewhere_is_fetched_without_the_token(access: HubAccess, fake: FakeHub, hub: Hub) -> None:
    await access.set_token("hf_secret")
    fake.faults.redirects_to = f"http://localhost:{fake.port}"

    assert (await hub.repository("org/repo")).models

    first, second = fake.requests
    assert first.headers["authorization"] == "Bearer hf_secret"
    assert second.headers["host"] == f"localhost:{fake.port}"
    assert "authorization" not in second.headers


async def test_requests_go_through_the_proxy_that_is_set(settings: SettingsStore, fake: FakeHub, hub: Hub) -> None:
    settings.update(hub_endpoint="http://hub.invalid", hub_proxy=fake.endpoint)

    assert (await hub.repository("org/repo")).id == "org/repo"
    assert fake.requests[-1].headers["host"] == "hub.invalid"
    # From the next request on, without a restart.
    settings.update(hub_endpoint=fake.endpoint, hub_proxy="")
    await hub.repository("org/repo")
    assert fake.requests[-1].headers["host"] == f"127.0.0.1:{fake.port}"


async def test_a_proxy_that_is_not_there_is_told(settings: SettingsStore, hub: Hub) -> None:
    settings.update(hub_proxy="http://127.0.0.1:9")

    with pytest.raises(HubUnreachable, match="can't be reached"):
        await hub.repository("org/repo")


async def test_offline_nothing_is_sent(settings: SettingsStore, fake: FakeHub, access: HubAccess, hub: Hub) -> None:
    repository = await hub.repository("org/repo")
    await hub.search(HubQuery())
    await hub.card(repository)
    sent = len(fake.requests)
    settings.update(hub_offline=True)

    for asked in (hub.repository("org/repo"), hub.search(HubQuery()), hub.card(repository)):
        with pytest.raises(HubOffline, match="work offline"):
            await asked
    async with access.client(timeout=5) as client:
        with pytest.raises(HubOffline):
            await client.get(fake.endpoint)
    assert len(fake.requests) == sent
    settings.update(hub_offline=False)
    assert (await hub.repository("org/repo")).models


async def test_the_environment_can_say_offline_too(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(HubOffline, match="HF_HUB_OFFLINE is set"):
        await hub.repository("org/repo")


async def test_switching_off_ends_a_transfer_at_once(settings: SettingsStore, fake: FakeHub, access: HubAccess) -> None:
    fake.faults.pause_after = 100_000
    hub = Hub(access)
    url = hub.file_url(await hub.repository("org/repo"), "m-Q4_K_M.gguf")
    arrived = asyncio.Event()

    async with access.client(timeout=30) as client:

        async def transfer() -> None:
            n_bytes = 0
            async with client.stream("GET", url) as answer:
                async for chunk in answer.aiter_raw():
                    n_bytes += len(chunk)
                    if n_bytes == 100_000:
                        arrived.set()

        task = asyncio.create_task(transfer())
        await arrived.wait()
        settings.update(hub_offline=True)
        with pytest.raises(HubOffline):
            await asyncio.wait_for(task, 5)
    await hub.close()


async def test_switching_off_ends_a_question_at_once(settings: SettingsStore, fake: FakeHub, hub: Hub) -> None:
    fake.faults.pause_api = True
    task = asyncio.create_task(hub.search(HubQuery()))
    await asyncio.to_thread(fake.paused.wait)

    settings.update(hub_offline=True)

    with pytest.raises(HubOffline):
        await asyncio.wait_for(task, 5)


async def test_a_cancelled_question_leaves_no_thread_waiting(fake: FakeHub, hub: Hub) -> None:
    fake.faults.pause_api = True
    task = asyncio.create_task(hub.search(HubQuery()))
    await asyncio.to_thread(fake.paused.wait)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    # It would wait for as long as the hub does, which here is for ever.
    await asyncio.wait_for(hub.close(), 5)


async def test_closing_ends_what_is_asked(fake: FakeHub, access: HubAccess) -> None:
    fake.faults.pause_api = True
    hub = Hub(access)
    task = asyncio.create_task(hub.search(HubQuery()))
    await asyncio.to_thread(fake.paused.wait)

    await asyncio.wait_for(hub.close(), 5)

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_stalled_transfer_still_runs_into_its_own_time_limit(fake: FakeHub, access: HubAccess) -> None:
    fake.faults.pause_after = 1000
    hub = Hub(access)
    url = hub.file_url(await hub.repository("org/repo"), "m-Q4_K_M.gguf")

    async with access.client(timeout=0.2) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(url)
    await hub.close()


async def test_an_address_of_the_hub_before_gets_no_token_of_the_one_now(
    access: HubAccess, settings: SettingsStore, fake: FakeHub
) -> None:
    before = f"{fake.endpoint}/org/repo/resolve/main/m.gguf"
    settings.update(hub_endpoint="https://huggingface.co")
    await access.set_token("hf_official")
    assert await access.headers(before) == {}
    assert await access.headers("https://huggingface.co.evil.example/x") == {}
