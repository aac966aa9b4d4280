"""Stretches of files that are elsewhere, without the rest of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httpx2

from app.domain.errors import AppError, ChecksumMismatch, HubUnreachable
from app.library.hub import Hub
from app.library.hub_errors import passes, retry_after_s, signed_link_ended
from app.library.retry_policy import RetryPolicy

__all__ = ["RangeReader", "RemotePart"]

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+)")
# Somebody waits and looks.
_POLICY: Final = RetryPolicy(tries=3, first_pause_s=0.5, max_pause_s=5.0, connect_s=10.0, stall_s=15.0)


class _TryAgain(Exception):
    def __init__(self, error: AppError, pause_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True)
class RemotePart:
    """One file, as it was listed. `refusal` is the error that an HTTP status stands for there, given how long to wait."""

    name: str
    size_bytes: int
    url: str
    on_hub: bool
    refusal: Callable[[int, float | None], AppError]


class RangeReader:
    """Owned by the service loop."""

    def __init__(self, hub: Hub, policy: RetryPolicy = _POLICY) -> None:
        self._hub = hub
        self._policy = policy
        self._client = hub.access.client(timeout=httpx2.Timeout(policy.stall_s, connect=policy.connect_s))

    async def close(self) -> None:
        await self._client.aclose()

    async def read(self, part: RemotePart, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, tried several times. Raises the DownloadError that is in the way."""
        failures = 0
        while end > start:
            failures += 1
            try:
                return await self._range(part, start, end)
            except _TryAgain as error:
                told, asked_s = error.error, error.pause_s
            except httpx2.TimeoutException:
                told, asked_s = _lost("The connection stalled", part), None
            except httpx2.RequestError:
                told, asked_s = _lost("The connection was lost", part), None
            if self._policy.gives_up(failures) or (asked_s is not None and asked_s > self._policy.max_pause_s):
                raise told
            await asyncio.sleep(self._policy.pause_s(failures, asked_s))
        return b""

    async def _range(self, part: RemotePart, start: int, end: int) -> bytes:
        headers = {"accept-encoding": "identity", "range": f"bytes={start}-{end - 1}"}
        if part.on_hub:
            headers |= await self._hub.headers(part.url)
        # httpx2 leaves the authorization out when a redirect leads to another origin.
        async with self._client.stream("GET", part.url, headers=headers) as response:
            behind = _bytes_before(response, part, start)
            got = bytearray()
            async for chunk in response.aiter_raw():
                got += chunk[behind:]
                behind = max(0, behind - len(chunk))
                if len(got) >= end - start:
                    # A server that ignores ranges would go on.
                    return bytes(got[: end - start])
        raise _TryAgain(_lost("The transfer ended early", part))


def _bytes_before(response: httpx2.Response, part: RemotePart, start: int) -> int:
    """How many bytes of an answer come before those from `start` on. Raises for one that is no part of the file."""
    status = response.status_code
    match status:
        case HTTPStatus.OK:
            length = response.headers.get("content-length", "")
            if length.isdigit() and int(length) != part.size_bytes:
                raise _changed(part)
            return start
        case HTTPStatus.PARTIAL_CONTENT:
            found = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
            if found is None or (int(found[1]), int(found[2])) != (start, part.size_bytes):
                raise _changed(part)
            return 0
        case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _changed(part)
    if signed_link_ended(status, redirected=bool(response.history)):
        raise _TryAgain(_lost("The link to the file ended", part))
    asked_s = retry_after_s(response.headers)
    refusal = part.refusal(status, asked_s)
    raise _TryAgain(refusal, asked_s) if passes(status) else refusal


def _changed(part: RemotePart) -> ChecksumMismatch:
    return ChecksumMismatch(f"{part.name} changed on the server. Open the repository again.")


def _lost(what: str, part: RemotePart) -> HubUnreachable:
    return HubUnreachable(f"{what} while {part.name} was looked at. Try again later.")
