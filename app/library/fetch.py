"""Getting one file's bytes over HTTP, for as long as it takes."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from http import HTTPStatus
from typing import Final, TypeAlias

import httpx2

from app.domain.errors import ChecksumMismatch, HubUnreachable
from app.domain.models import RemoteRepository
from app.library.hub import Hub
from app.library.part_file import PartFile
from app.library.retry_policy import RetryPolicy
from app.library.undisturbed import undisturbed

__all__ = ["Fetcher", "Pause"]

# Given the reason, as a sentence for a person, and how many seconds to wait.
Pause: TypeAlias = Callable[[str, float], Awaitable[None]]

_PIECE_BYTES: Final = 1 << 20
_PIECE_S: Final = 0.2
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+)")


class _TryAgain(Exception):
    """The server can't answer now. `reason` is a sentence for a person, `pause_s` what it asked for."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause_s = pause_s


class Fetcher:
    """Fills part files from the hub. Owned by the service loop; writing and hashing run on other threads."""

    def __init__(self, hub: Hub, policy: RetryPolicy) -> None:
        self._hub = hub
        self._policy = policy
        timeout = httpx2.Timeout(policy.stall_s, connect=policy.connect_s)
        self._client = hub.access.client(timeout=timeout)

    async def close(self) -> None:
        await self._client.aclose()

    async def fill(
        self, repository: RemoteRepository, part: PartFile, on_bytes: Callable[[], None], pause: Pause, *, url: str = ""
    ) -> None:
        """Fetch what an opened part still lacks, from the hub or else from `url`. `pause` is awaited between two tries.

        Raises the DownloadError that ended it; what has arrived stays.
        """
        failures = 0
        while part.have_bytes < part.expected.size_bytes:
            before = part.have_bytes
            try:
                await self._transfer(repository, part, on_bytes, url)
            except _TryAgain as error:
                reason, asked_s = error.reason, error.pause_s
            except httpx2.TimeoutException:
                reason, asked_s = "The connection stalled.", None
            except httpx2.RequestError:
                reason, asked_s = "The connection was lost.", None
            else:
                reason, asked_s = "The transfer ended early.", None
            if part.complete:
                return
            failures = 1 if part.have_bytes > before else failures + 1
            if self._policy.gives_up(failures):
                raise HubUnreachable(f"{reason} {part.expected.name} can be taken up again later.")
            await pause(reason, self._policy.pause_s(failures, asked_s))

    async def _transfer(self, repository: RemoteRepository, part: PartFile, on_bytes: Callable[[], None], url: str) -> None:
        headers = {"accept-encoding": "identity"}
        if not url:
            url = self._hub.file_url(repository, part.expected.name)
            # The counter is how authors see that their models are downloaded.
            headers |= {"x-hf-download-counter": "1", **await self._hub.headers()}
        if part.have_bytes:
            headers["range"] = f"bytes={part.have_bytes}-"
            if part.etag:
                headers["if-range"] = part.etag
        # httpx2 leaves the authorization out when a redirect leads to another origin.
        async with self._client.stream("GET", url, headers=headers) as response:
            start_over = self._starts_over(response, part, repository.id)
            await undisturbed(part.begin_transfer, _strong_etag(response), start_over=start_over)
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise _TryAgain("The server has less of the file than before.", pause_s=0)
            async with contextlib.aclosing(_pieces(response)) as pieces:
                async for piece in pieces:
                    if part.have_bytes + len(piece) > part.expected.size_bytes:
                        raise ChecksumMismatch(f"{part.expected.name}: the server sends more than the hub lists.")
                    await undisturbed(part.write, piece)
                    on_bytes()

    def _starts_over(self, response: httpx2.Response, part: PartFile, repository: str) -> bool:
        """Whether this answer begins at the first byte. Raises for an answer that is not (this part of) the file."""
        status = response.status_code
        expected = part.expected.size_bytes
        if status == HTTPStatus.PARTIAL_CONTENT:
            found = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
            if found and (int(found[1]), int(found[2])) == (part.have_bytes, expected):
                return False
            return self._changed(part)
        if status == HTTPStatus.OK:
            length = response.headers.get("content-length", "")
            if length.isdigit() and int(length) != expected:
                raise ChecksumMismatch(f"{part.expected.name}: the server has {length} bytes, the hub lists {expected}.")
            return True
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and part.have_bytes:
            return True
        # A link to the storage behind the hub lives for minutes; the next try gets a new one.
        signed_link_ended = bool(response.history) and status in (400, 401, 403)
        if signed_link_ended or status in (408, 425, 429) or status >= 500:
            raise _TryAgain(str(self._hub.refusal(repository, 429 if status == 429 else 503)), _retry_after(response))
        raise self._hub.refusal(repository, status)

    def _changed(self, part: PartFile) -> bool:
        raise ChecksumMismatch(f"{part.expected.name} changed on the server. Open the repository again and download it anew.")


async def _pieces(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """What arrives, joined to pieces worth a write. When the connection breaks, what came before is handed out first."""
    gathered = bytearray()
    since = time.monotonic()
    try:
        async for chunk in response.aiter_raw():
            gathered += chunk
            if len(gathered) >= _PIECE_BYTES or time.monotonic() - since >= _PIECE_S:
                yield bytes(gathered)
                gathered.clear()
                since = time.monotonic()
    except httpx2.TransportError:
        if gathered:
            yield bytes(gathered)
        raise
    if gathered:
        yield bytes(gathered)


def _strong_etag(response: httpx2.Response) -> str:
    """If-Range takes strong validators only."""
    etag = str(response.headers.get("etag", ""))
    return "" if etag.startswith("W/") else etag


def _retry_after(response: httpx2.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else None
