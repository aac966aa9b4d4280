"""Getting one file's bytes over HTTP, over several connections, for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx2

from app.domain.errors import HubUnreachable
from app.domain.models import RemoteRepository
from app.library.byte_ranges import ByteRanges, Span
from app.library.connection import Asked, Connection, FromStart, LinkEnded, Setback
from app.library.hub import Hub
from app.library.part_file import PartFile
from app.library.retry_policy import RetryPolicy
from app.library.throttle import Throttle
from app.library.undisturbed import undisturbed
from app.library.web_file import web_refusal
from app.settings import SettingsStore

__all__ = ["Fetcher", "Pause"]

# Given the reason, as a sentence for a person, and how many seconds to wait.
Pause: TypeAlias = Callable[[str, float], Awaitable[None]]

_TICK_S: Final = 0.05
_END_S: Final = 2.0
_MOST_THREADS: Final = 256


class Fetcher:
    """Fills part files from the hub. Owned by the service loop; connections, writing and hashing run on other threads."""

    def __init__(self, hub: Hub, policy: RetryPolicy, settings: SettingsStore) -> None:
        """Takes a tenth of a second: the system's certificates are read."""
        self.hub = hub
        self.policy = policy
        self._settings = settings
        self.throttle = Throttle(lambda: settings.current.download_limit_mb_s * 1e6)
        # Of its own: connections would leave no thread of the loop's to anybody else.
        self._threads = ThreadPoolExecutor(_MOST_THREADS, "download")
        self._running: set[asyncio.Future[None]] = set()
        self._verify = httpx2.create_ssl_context()

    @property
    def n_connections(self) -> int:
        return self._settings.current.download_connections

    async def close(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=_END_S)
        # Not waited for any longer: a thread that is still connecting can't be interrupted, and holds nothing.
        self._threads.shutdown(wait=False)

    async def fill(
        self, repository: RemoteRepository, part: PartFile, on_bytes: Callable[[], None], pause: Pause, *, url: str = ""
    ) -> None:
        """Fetch what an opened part still lacks, from the hub or else from `url`. `pause` is awaited between two tries.

        Raises the DownloadError that ended it, or OSError; what has arrived stays.
        """
        filling = _Filling(self, repository, part, on_bytes, url)
        keeping = asyncio.get_running_loop().create_task(filling.keep(), name="keep a download")
        failures = 0
        try:
            while not part.complete:
                before = part.have_bytes
                setback = await filling.round()
                if part.complete or setback is None:
                    continue
                failures = 1 if part.have_bytes > before else failures + 1
                if self.policy.gives_up(failures):
                    raise HubUnreachable(f"{setback.reason} {part.expected.name} can be taken up again later.")
                await pause(setback.reason, self.policy.pause_s(failures, setback.pause_s))
                if keeping.done():
                    keeping.result()
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})
        if not keeping.cancelled():
            keeping.result()

    def connection(self, part: PartFile, repository: str, url: str) -> Connection:
        return Connection(
            part,
            self.policy,
            self.throttle,
            partial(web_refusal, urlsplit(url).netloc) if url else partial(self.hub.refusal, repository),
            verify=self._verify,
            proxy=self.hub.access.proxy,
        )

    async def run(self, connection: Connection, asked: Asked) -> None:
        """`connection.run`; if this task is cancelled, it is stopped, and nothing is written any more."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, connection.run, asked)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            connection.stop()
            while connection.writing and not running.done():
                # Even if this task is cancelled once more: the file is about to be closed.
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({running})
            running.add_done_callback(partial(_end, connection))
            raise


@dataclass(slots=True, eq=False)
class _Active:
    """A connection and the span it works on."""

    connection: Connection
    span: Span


class _Filling:
    """One file on its way: which connection fetches what. Owned by the service loop."""

    def __init__(
        self, fetcher: Fetcher, repository: RemoteRepository, part: PartFile, on_bytes: Callable[[], None], url: str
    ) -> None:
        self._fetcher = fetcher
        self._repository = repository
        self._part = part
        self._on_bytes = on_bytes
        self._url = url
        self._link = ""
        self._ended_links: set[str] = set()
        self._has_ranges = True
        self._began_anew = False
        self._active: list[_Active] = []
        self._setback: Setback | None = None
        self._lost = 0
        # What has arrived is not dropped while it is read or noted.
        self._keeping = asyncio.Lock()

    async def keep(self) -> None:
        """Hash what arrives, and bring it to the disk now and then, until this task is cancelled."""
        part, sync_s = self._part, self._fetcher.policy.sync_s
        synced, due = part.have.spans, time.monotonic() + sync_s
        while True:
            async with self._keeping:
                if has_more := part.unhashed_bytes > 0:
                    await undisturbed(part.hash_step)
                if time.monotonic() >= due and part.have.spans != synced:
                    began, spans = time.monotonic(), part.have.spans
                    await undisturbed(part.sync, spans)
                    # A slow disk has better things to do than to be synced.
                    now = time.monotonic()
                    synced, due = spans, now + max(sync_s, 4 * (now - began))
            if not has_more:
                await asyncio.sleep(_TICK_S)

    async def round(self) -> Setback | None:
        """Fetch until all is there, or no connection brings anything. Returns why it ended early; raises what is final."""
        self._setback = None
        self._lost = 0
        if not self._has_ranges and self._part.have_bytes:
            await self._start_over()
        begun = False
        workers: set[asyncio.Task[None]] = set()
        try:
            while workers or not begun:
                while self._wants(len(workers), begun):
                    begun = True
                    workers.add(asyncio.get_running_loop().create_task(self._work(), name="download connection"))
                if not workers:
                    break
                done, workers = await asyncio.wait(workers, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
                self._collect()
                # Also where nothing came: the speed is another then.
                self._on_bytes()
                for worker in done:
                    worker.result()
        except FromStart as error:
            await self._end(workers)
            # The second time it is a server that tells a file by another tag each time.
            self._has_ranges = not (error.ignored or self._began_anew)
            self._began_anew, self._link = True, ""
            await self._start_over()
            return None
        finally:
            await self._end(workers)
        return self._setback

    async def _start_over(self) -> None:
        async with self._keeping:
            await undisturbed(self._part.start_over)

    async def _end(self, workers: set[asyncio.Task[None]]) -> None:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        self._collect()

    def _wants(self, n_workers: int, begun: bool) -> bool:
        """One to begin with; more once that one has shown that the server sends spans."""
        if self._gap() is None:
            return False
        if not begun:
            return True
        head = next((active.connection.head for active in self._active if active.connection.head is not None), None)
        return n_workers < self._n_connections - self._lost and head is not None and head.has_ranges

    @property
    def _n_connections(self) -> int:
        large = self._part.expected.size_bytes > self._fetcher.policy.span_bytes
        return self._fetcher.n_connections if self._has_ranges and large else 1

    async def _work(self) -> None:
        """One connection, one span after the other. One that breaks goes on if it has brought something."""
        connection = self._fetcher.connection(self._part, self._repository.id, self._url)
        try:
            while (span := self._claim()) is not None:
                active = _Active(connection, span)
                self._active.append(active)
                try:
                    asked = await self._asked(span)
                    await self._fetcher.run(connection, asked)
                except LinkEnded:
                    # For good, though others may still be served what they asked it for.
                    self._ended_links.add(asked.url)
                except Setback as setback:
                    self._setback, self._link = setback, ""
                    if connection.arrived(span[0]) == span[0]:
                        self._lost += 1
                        return
                    await asyncio.sleep(self._fetcher.policy.first_pause_s)
                finally:
                    self._collect()
                    self._active.remove(active)
        finally:
            if not connection.stopped:
                await undisturbed(connection.close)

    async def _asked(self, span: Span) -> Asked:
        headers = {"accept-encoding": "identity"}
        start, end = span
        to_the_end = end == self._part.expected.size_bytes
        whole = not self._has_ranges or (start == 0 and to_the_end)
        asked = partial(Asked, start=start, end=None if to_the_end else end, whole=whole)
        if self._link and self._link not in self._ended_links:
            return asked(url=self._link, headers=headers, is_link=True)
        if self._url:
            return asked(url=self._url, headers=headers, is_link=False)
        # The counter is how authors see that their models are downloaded.
        url = self._fetcher.hub.file_url(self._repository, self._part.expected.name)
        headers |= {"x-hf-download-counter": "1", **await self._fetcher.hub.headers(url)}
        return asked(url=url, headers=headers, is_link=False)

    def _gap(self) -> Span | None:
        """The first bytes that are missing and that nobody fetches."""
        covered = ByteRanges((*self._part.have.spans, *(active.span for active in self._active)))
        return covered.first_gap(self._part.expected.size_bytes)

    def _claim(self) -> Span | None:
        gap = self._gap()
        if gap is None or self._n_connections == 1:
            return gap
        start, end = gap
        # Not so short that most of the time goes into asking.
        length = max(self._fetcher.policy.span_bytes, self._part.expected.size_bytes // 256)
        return (start, min(end, start + length))

    def _collect(self) -> None:
        """Take note of what has been written."""
        for active in self._active:
            start = active.span[0]
            self._part.have.add(start, active.connection.arrived(start))
            head = active.connection.head
            if head is not None:
                if head.link not in self._ended_links:
                    self._link = head.link or self._link
                if not self._part.etag:
                    self._part.etag = head.etag


def _end(connection: Connection, running: asyncio.Future[None]) -> None:
    """Whatever a stopped connection ended with is nobody's concern."""
    running.exception()
    connection.close()
