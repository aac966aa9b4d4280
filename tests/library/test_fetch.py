"""One file over HTTP: what is asked for, and what is made of odd answers."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import AccessDenied, ChecksumMismatch, HubUnreachable, RepositoryNotFound
from app.domain.models import RemoteRepository
from app.library.fetch import Fetcher
from app.library.hub import Hub
from app.library.part_file import Expected, PartFile
from app.library.retry_policy import RetryPolicy
from app.paths import Paths
from app.settings import SettingsStore
from tests.fake_hub import FakeHub

pytestmark = pytest.mark.anyio

DATA = os.urandom(1_500_000)
EXPECTED = Expected("m.gguf", "main", len(DATA), hashlib.sha256(DATA).hexdigest())
REPOSITORY = RemoteRepository("org/repo", "main", ())


def new_fetcher(fake: FakeHub, policy: RetryPolicy, *, token: str | None = None, **settings: Any) -> Fetcher:
    store = SettingsStore(Paths.of().settings_file, overrides=settings)
    return Fetcher(Hub(endpoint=fake.endpoint, token=token), policy, store)


async def at_once(reason: str, pause_s: float) -> None:
    """A pause that is none."""


class Enough:
    """Called as bytes arrive; waits until something is so."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self._condition = condition
        self._event = asyncio.Event()

    def __call__(self) -> None:
        if self._condition():
            self._event.set()

    async def reached(self) -> None:
        await asyncio.wait_for(self._event.wait(), 20)


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        hub.add("org/repo", {"m.gguf": DATA, "small.gguf": b"small"})
        yield hub


@pytest.fixture
async def fetcher(fake: FakeHub) -> AsyncIterator[Fetcher]:
    fetcher = new_fetcher(fake, RetryPolicy(tries=3, first_pause_s=0.0, max_pause_s=1.0, stall_s=5.0))
    yield fetcher
    await fetcher.close()


@pytest.fixture
def part_of(tmp_path: Path) -> Iterator[Callable[..., PartFile]]:
    opened: list[PartFile] = []

    def make(*, have: bytes = b"", etag: str = "", expected: Expected = EXPECTED) -> PartFile:
        part = PartFile(tmp_path / "m.gguf", expected)
        part.open()
        part.etag = etag
        with part.writer(0) as writer:
            writer.write(have)
        part.have.add(0, len(have))
        opened.append(part)
        return part

    yield make
    for part in opened:
        part.close()


async def test_a_file_arrives_and_each_piece_is_told(fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile]) -> None:
    part = part_of()
    told: list[int] = []

    await fetcher.fill(REPOSITORY, part, lambda: told.append(part.have_bytes), at_once)

    part.verify()
    assert told == sorted(told)
    assert told[-1] == len(DATA)
    asked = fake.transfers[0].headers
    assert asked["accept-encoding"] == "identity"
    assert asked["x-hf-download-counter"] == "1"
    assert "range" not in asked


async def test_the_token_stays_with_the_hub(fake: FakeHub, part_of: Callable[..., PartFile]) -> None:
    fetcher = new_fetcher(fake, RetryPolicy(), token="hf_secret")

    await fetcher.fill(REPOSITORY, part_of(), lambda: None, at_once)
    await fetcher.close()

    assert [request.headers.get("authorization") for request in fake.requests] == ["Bearer hf_secret", None]
    assert fake.requests[0].headers["host"].startswith("127.0.0.1:")
    assert fake.transfers[0].headers["host"].startswith("localhost:")


async def test_a_small_file_comes_without_a_redirect(fetcher: Fetcher, part_of: Callable[..., PartFile]) -> None:
    part = part_of(expected=Expected("small.gguf", "main", 5, None))

    await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()


async def test_only_the_rest_is_asked_for(fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile]) -> None:
    part = part_of(have=DATA[:700_000])

    await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()
    assert [request.headers["range"] for request in fake.transfers] == ["bytes=700000-"]


async def test_a_dropped_connection_goes_on_where_it_broke(
    fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.drop_after = [400_000, 500_000]
    part = part_of()

    await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()
    etag = f'"{hashlib.md5(DATA).hexdigest()}"'
    assert [request.headers.get("range") for request in fake.transfers] == [None, "bytes=400000-", "bytes=900000-"]
    assert [request.headers.get("if-range") for request in fake.transfers] == [None, etag, etag]


async def test_a_stalled_connection_is_given_up_and_taken_up_again(fake: FakeHub, part_of: Callable[..., PartFile]) -> None:
    fake.faults.pause_after = 600_000
    part = part_of()
    fetcher = new_fetcher(fake, RetryPolicy(tries=2, first_pause_s=0.0, stall_s=0.3))

    task = asyncio.ensure_future(fetcher.fill(REPOSITORY, part, lambda: None, at_once))
    assert await asyncio.to_thread(fake.paused.wait, 20)
    fake.faults.pause_after = None
    await task
    await fetcher.close()

    part.verify()
    assert fake.transfers[-1].headers["range"] == "bytes=600000-"


async def test_a_server_that_ignores_ranges_sends_the_file_again(
    fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.drop_after = [400_000]
    fake.faults.ignore_ranges = True
    part = part_of()

    await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()


async def test_what_arrived_is_not_dropped_while_it_is_hashed(fake: FakeHub, fetcher: Fetcher, tmp_path: Path) -> None:
    class Watched(PartFile):
        hashing = overlapped = False
        dropped = threading.Event()

        def hash_step(self) -> bool:
            self.hashing = True
            self.dropped.wait(0.3)
            try:
                return super().hash_step()
            finally:
                self.hashing = False

        def start_over(self) -> None:
            self.overlapped = self.overlapped or self.hashing
            super().start_over()
            self.dropped.set()

    fake.faults.ignore_ranges = True
    part = Watched(tmp_path / "m.gguf", EXPECTED)
    part.open()
    with part.writer(0) as writer:
        writer.write(DATA[:400_000])
    part.have.add(0, 400_000)

    await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    assert not part.overlapped
    part.verify()
    part.close()


async def test_another_etag_means_from_the_first_byte(fetcher: Fetcher, part_of: Callable[..., PartFile]) -> None:
    part = part_of(have=bytes(700_000), etag='"of another version"')

    await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()
    assert part.etag == f'"{hashlib.md5(DATA).hexdigest()}"'


async def test_a_range_beyond_the_end_means_from_the_first_byte(
    fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.add("org/repo", {"m.gguf": DATA[:900_000]})
    part = part_of(have=DATA[:1_000_000])

    # The server has a shorter file now: it is asked for all of it, and that is not what was promised.
    with pytest.raises(ChecksumMismatch, match="900000 bytes, the hub lists 1500000"):
        await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    assert [request.headers.get("range") for request in fake.transfers] == ["bytes=1000000-", None]
    assert part.have_bytes == 0


async def test_the_rest_of_a_file_of_another_size_is_refused(fetcher: Fetcher, part_of: Callable[..., PartFile]) -> None:
    part = part_of(have=DATA[:1000], expected=replace(EXPECTED, size_bytes=len(DATA) + 7))

    with pytest.raises(ChecksumMismatch, match="changed on the server"):
        await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    assert part.have_bytes == 1000


@pytest.mark.parametrize("statuses", [[500], [503, 429], [408, 403], [502, 401]])
async def test_passing_errors_are_waited_out(
    fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile], statuses: list[int]
) -> None:
    fake.faults.statuses = statuses
    part = part_of()

    await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()


@pytest.mark.parametrize(
    ("status", "said"),
    [(429, "localhost asks to wait: too many requests."), (403, "The link to localhost is over.")],
)
async def test_the_list_says_why_it_waits_and_not_to_try_again(
    fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile], status: int, said: str
) -> None:
    fake.faults.statuses, fake.faults.retry_after_s = [status], 7
    heard: list[str] = []

    async def note(reason: str, pause_s: float) -> None:
        heard.append(reason)

    await fetcher.fill(REPOSITORY, part_of(), lambda: None, note)

    assert heard == [said]


async def test_errors_without_end_are_told_and_what_arrived_stays(
    fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.statuses = [500] * 9
    part = part_of(have=DATA[:5000])

    with pytest.raises(HubUnreachable, match=r"localhost answers with error 500\. \S+ can be taken up again later"):
        await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    assert len(fake.transfers) == 3
    assert part.have_bytes == 5000


async def test_a_connection_that_brings_something_each_time_is_never_given_up(
    fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.drop_after = [100_000] * 9
    part = part_of()

    await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()
    assert len(fake.transfers) == 10


@pytest.mark.parametrize(
    ("repository", "error"), [("org/gated", AccessDenied), ("org/none", AccessDenied), ("org/repo", RepositoryNotFound)]
)
async def test_a_refusal_is_final(
    fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile], repository: str, error: type[Exception]
) -> None:
    fake.add("org/gated", {"m.gguf": DATA}, gated=True)
    part = part_of(expected=replace(EXPECTED, name="none.gguf") if repository == "org/repo" else EXPECTED)

    with pytest.raises(error):
        await fetcher.fill(RemoteRepository(repository, "main", ()), part, lambda: None, at_once)

    assert len([request for request in fake.requests if "/resolve/" in request.path]) == 1


async def test_cancelling_while_bytes_arrive_leaves_a_part_that_can_be_taken_up(
    fake: FakeHub, fetcher: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.pause_after = 1_200_000
    part = part_of()
    begun = Enough(lambda: part.have_bytes > 0)
    task = asyncio.ensure_future(fetcher.fill(REPOSITORY, part, begun, at_once))
    await begun.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    fake.faults.pause_after = None
    fake.resume.set()

    await fetcher.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()
    assert "range" in fake.transfers[-1].headers


# Several connections

SPANS = RetryPolicy(tries=3, first_pause_s=0.0, max_pause_s=1.0, stall_s=5.0, span_bytes=100_000)


@pytest.fixture
async def spans(fake: FakeHub) -> AsyncIterator[Fetcher]:
    fetcher = new_fetcher(fake, SPANS, download_connections=4)
    yield fetcher
    await fetcher.close()


def asked_for(fake: FakeHub) -> list[str]:
    return [request.headers.get("range", "all") for request in fake.transfers]


async def test_a_large_file_comes_over_several_connections_and_no_byte_twice(
    fake: FakeHub, spans: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.pause_after = 50_000
    part = part_of()
    enough = Enough(lambda: len(fake.transfers) >= 4)
    task = asyncio.ensure_future(spans.fill(REPOSITORY, part, enough, at_once))
    await enough.reached()
    fake.faults.pause_after = None
    fake.resume.set()
    await task

    part.verify()
    assert asked_for(fake)[0] == "bytes=0-99999"
    assert sorted(asked_for(fake)) == sorted(
        [f"bytes={start}-{start + 99_999}" for start in range(0, 1_400_000, 100_000)] + ["bytes=1400000-"]
    )
    # The link that the hub gave is used again: it counts one download.
    assert len([request for request in fake.requests if "/resolve/" in request.path]) == 1


async def test_links_that_end_are_renewed(fake: FakeHub, spans: Fetcher, part_of: Callable[..., PartFile]) -> None:
    fake.faults.link_uses = 2
    part = part_of()

    await spans.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()
    assert len([request for request in fake.requests if "/resolve/" in request.path]) >= 5


async def test_an_ended_link_is_not_asked_again_while_others_still_use_it(
    fake: FakeHub, spans: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.link_uses = 1
    fake.faults.pause_after = 50_000
    part = part_of()

    def asked_hub() -> int:
        return len([request for request in fake.requests if "/resolve/" in request.path])

    # Each of the four connections has a link of its own at last.
    enough = Enough(lambda: asked_hub() >= 4)
    task = asyncio.ensure_future(spans.fill(REPOSITORY, part, enough, at_once))
    await enough.reached()
    asked = len(fake.transfers)
    fake.faults.link_uses = fake.faults.pause_after = None
    fake.resume.set()
    await task

    part.verify()
    assert asked <= 12


async def test_connections_that_break_are_taken_up_again(
    fake: FakeHub, spans: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.drop_after = [30_000, 99_999, 1, 50_000, 70_000]
    part = part_of()

    await spans.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()


async def test_a_server_that_refuses_further_connections_is_content_with_one(
    fake: FakeHub, spans: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    part = part_of(have=DATA[:5000])
    fake.faults.pause_after = 50_000
    pauses: list[str] = []

    async def pause(reason: str, pause_s: float) -> None:
        pauses.append(reason)

    refused = Enough(lambda: len(fake.transfers) >= 4)
    fake.faults.statuses = [503, 503, 503]
    fake.faults.statuses_from = 1
    task = asyncio.ensure_future(spans.fill(REPOSITORY, part, refused, pause))
    await refused.reached()
    fake.faults.pause_after = None
    fake.resume.set()
    await task

    part.verify()
    assert pauses == []


async def test_ranges_that_are_ignored_end_in_one_whole_transfer(
    fake: FakeHub, spans: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.ignore_ranges = True
    part = part_of()

    await spans.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()
    assert asked_for(fake) == ["bytes=0-99999"]


async def test_a_file_that_changes_while_several_connections_fetch_it_is_no_mixture(
    fake: FakeHub, spans: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.changes_after = 3
    part = part_of()

    await spans.fill(REPOSITORY, part, lambda: None, at_once)

    # All of it is the new one, which is not what was promised.
    with pytest.raises(ChecksumMismatch):
        part.verify()
    assert part.sha256 == hashlib.sha256(DATA[::-1]).hexdigest()


async def test_gaps_that_an_earlier_run_left_are_filled_and_nothing_else(
    fake: FakeHub, spans: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    part = part_of(have=DATA[:100_000])
    with part.writer(150_000) as writer:
        writer.write(DATA[150_000:1_450_000])
    part.have.add(150_000, 1_450_000)

    await spans.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()
    assert sorted(asked_for(fake)) == ["bytes=100000-149999", "bytes=1450000-"]


async def test_a_trickle_counts_as_a_stall(fake: FakeHub, part_of: Callable[..., PartFile]) -> None:
    fetcher = new_fetcher(fake, RetryPolicy(tries=2, first_pause_s=0.0, stall_s=0.2))
    fake.faults.drip_s = 0.02
    part = part_of()

    enough = Enough(lambda: len(fake.transfers) >= 2)
    task = asyncio.ensure_future(fetcher.fill(REPOSITORY, part, enough, at_once))
    await enough.reached()
    fake.faults.drip_s = None
    await task
    await fetcher.close()

    part.verify()


async def test_all_connections_together_keep_to_the_limit(fake: FakeHub, part_of: Callable[..., PartFile]) -> None:
    fetcher = new_fetcher(fake, SPANS, download_connections=4, download_limit_mb_s=3.0)
    part = part_of()

    started = time.monotonic()
    await fetcher.fill(REPOSITORY, part, lambda: None, at_once)
    took_s = time.monotonic() - started
    await fetcher.close()

    part.verify()
    assert 0.4 < took_s < 3.0


async def test_stopping_several_connections_leaves_a_part_that_can_be_taken_up(
    fake: FakeHub, spans: Fetcher, part_of: Callable[..., PartFile]
) -> None:
    fake.faults.pause_after = 60_000
    part = part_of()
    enough = Enough(lambda: len(fake.transfers) >= 4)
    task = asyncio.ensure_future(spans.fill(REPOSITORY, part, enough, at_once))
    await enough.reached()
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    took_s = time.monotonic() - started
    fake.faults.pause_after = None
    fake.resume.set()
    have = part.have.spans

    await spans.fill(REPOSITORY, part, lambda: None, at_once)

    part.verify()
    assert have
    # Nobody waits for a connection on which nothing comes.
    assert took_s < 2.0


async def test_a_file_elsewhere_is_fetched_without_a_token(fake: FakeHub, part_of: Callable[..., PartFile]) -> None:
    fetcher = new_fetcher(fake, SPANS, token="hf_secret")
    part = part_of()

    url = f"http://localhost:{fake.port}/org/repo/resolve/main/m.gguf"
    await fetcher.fill(RemoteRepository("files", "", ()), part, lambda: None, at_once, url=url)
    await fetcher.close()

    part.verify()
    assert all("authorization" not in request.headers for request in fake.requests)
