"""One connection of a download: asks for a span of a file and writes what comes."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx2

from app.domain.errors import AppError, ChecksumMismatch
from app.library.hub_errors import passes, retry_after_s, signed_link_ended
from app.library.part_file import PartFile, PartWriter
from app.library.retry_policy import RetryPolicy
from app.library.throttle import Throttle

__all__ = ["Asked", "Connection", "FromStart", "Head", "LinkEnded", "Setback", "Stopped"]

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
# Less than this in `stall_s` counts as nothing.
_TRICKLE_BYTES: Final = 4096
_ENDED_LINK: Final = frozenset({400, 401, 403, 404, 410})


class Setback(Exception):
    """The server can't answer now. `reason` is a sentence for a person, `pause_s` what it asked for."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause_s = pause_s


class FromStart(Exception):
    """What is there can't be gone on with: the server has another file now, or ranges are `ignored`."""

    def __init__(self, *, ignored: bool) -> None:
        super().__init__()
        self.ignored = ignored


class LinkEnded(Exception):
    """The link to the storage behind the hub, which lives for minutes, is over."""


class Stopped(Exception):
    """`Connection.stop` was called."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to ask for. `end` None is the end of the file; `whole` leaves the range out; `is_link`: not the hub's address."""

    url: str
    headers: Mapping[str, str]
    start: int
    end: int | None
    whole: bool
    is_link: bool


@dataclass(frozen=True, slots=True)
class Head:
    """What the answer's head says. `link` is where the bytes really come from, "" if that is the address that was asked."""

    etag: str
    link: str
    has_ranges: bool


class Connection:
    """`run` blocks, on one thread; everything else may be used from another.

    `refusal` makes the error that an HTTP status stands for.
    """

    def __init__(
        self,
        part: PartFile,
        policy: RetryPolicy,
        throttle: Throttle,
        refusal: Callable[[int], AppError],
        *,
        verify: ssl.SSLContext,
        proxy: str,
    ) -> None:
        self._part = part
        self._policy = policy
        self._throttle = throttle
        self._refusal = refusal
        self._verify = verify
        self._proxy = proxy
        self._client: httpx2.Client | None = None
        self._streams: list[Any] = []
        self._stop = threading.Event()
        self._writer: PartWriter | None = None
        self.writing = False
        self.head: Head | None = None

    def arrived(self, start: int) -> int:
        """Up to where `run` has written, which began at `start`."""
        writer = self._writer
        return writer.position if writer is not None else start

    def stop(self) -> None:
        """End `run` soon: nothing is written any more once `writing` is false. Only connecting can't be interrupted."""
        self._stop.set()
        for stream in tuple(self._streams):
            with contextlib.suppress(OSError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def run(self, asked: Asked) -> None:
        """Fetch all that was asked for. Raises Setback, FromStart, LinkEnded, Stopped, DownloadError kinds, and OSError."""
        self._writer = self.head = None
        self._check()
        try:
            self._transfer(asked)
        except httpx2.TimeoutException as error:
            raise Setback("The connection stalled.") from error
        except httpx2.RequestError as error:
            self._check()
            raise Setback("The connection was lost.") from error
        finally:
            self.writing = False
            if self._stop.is_set():
                self.close()

    def _check(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _transfer(self, asked: Asked) -> None:
        headers = dict(asked.headers)
        if not asked.whole:
            headers["range"] = f"bytes={asked.start}-{'' if asked.end is None else asked.end - 1}"
            if self._part.etag:
                headers["if-range"] = self._part.etag
        client = self._client = self._client or self._new_client()
        # httpx2 leaves the authorization out when a redirect leads to another origin.
        with client.stream("GET", asked.url, headers=headers, extensions={"trace": self._traced}) as response:
            ranged = self._is_range(response, asked)
            end = asked.end if ranged and asked.end is not None else self._part.expected.size_bytes
            # In this order: `stop` looks for `writing` after it has set what is checked here.
            self.writing = True
            self._check()
            with self._part.writer(asked.start) as writer:
                self._writer = writer
                link = str(response.url) if response.history or asked.is_link else ""
                self.head = Head(_validator(response), link, ranged)
                self._receive(response, writer, end)

    def _receive(self, response: httpx2.Response, writer: PartWriter, end: int) -> None:
        since, before = time.monotonic(), writer.position
        for chunk in response.iter_raw():
            if writer.position + len(chunk) > end:
                raise ChecksumMismatch(f"{self._part.expected.name}: the server sends more than the hub lists.")
            writer.write(chunk)
            self._check()
            now = time.monotonic()
            pause_s = self._throttle.pause_s(len(chunk))
            if pause_s > 0:
                self._stop.wait(pause_s)
                self._check()
            if pause_s > 0 or writer.position - before >= _TRICKLE_BYTES:
                since, before = time.monotonic(), writer.position
            elif now - since > self._policy.stall_s:
                raise Setback("The connection stalled.")
        if writer.position < end:
            raise Setback("The transfer ended early.")

    def _is_range(self, response: httpx2.Response, asked: Asked) -> bool:
        """Whether this answer is the span, and not the whole file. Raises for an answer that is neither."""
        status, expected = response.status_code, self._part.expected
        if status == HTTPStatus.PARTIAL_CONTENT:
            found = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
            last = (expected.size_bytes if asked.end is None else asked.end) - 1
            if found and not asked.whole and tuple(map(int, found.groups())) == (asked.start, last, expected.size_bytes):
                return True
            raise ChecksumMismatch(f"{expected.name} changed on the server. Open the repository again and download it anew.")
        if status == HTTPStatus.OK:
            length = response.headers.get("content-length", "")
            if length.isdigit() and int(length) != expected.size_bytes:
                raise ChecksumMismatch(f"{expected.name}: the server has {length} bytes, the hub lists {expected.size_bytes}.")
            if asked.start or self._part.have_bytes:
                raise FromStart(ignored=_validator(response) == self._part.etag)
            return False
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and not asked.whole:
            raise FromStart(ignored=False)
        if asked.is_link and status in _ENDED_LINK:
            raise LinkEnded
        if signed_link_ended(status, redirected=bool(response.history)):
            raise Setback(f"The link to {response.url.host} is over.")
        if passes(status):
            # Without advice to try again: that is what is done.
            what = "asks to wait: too many requests" if status == 429 else f"answers with error {status}"
            raise Setback(f"{response.url.host} {what}.", retry_after_s(response.headers))
        raise self._refusal(status)

    def _new_client(self) -> httpx2.Client:
        timeout = httpx2.Timeout(self._policy.stall_s, connect=self._policy.connect_s)
        return httpx2.Client(timeout=timeout, follow_redirects=True, verify=self._verify, proxy=self._proxy or None)

    def _traced(self, event: str, details: Mapping[str, Any]) -> None:
        """Remember the sockets, so that `stop` can shut them down."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            stream = details["return_value"]
            self._streams.append(stream)
            if self.stopped:
                # Nobody else knows of it yet.
                stream.close()
                raise Stopped


def _validator(response: httpx2.Response) -> str:
    """What to send as If-Range, which takes strong validators only; "" where there is none."""
    etag = str(response.headers.get("etag", ""))
    return etag if etag and not etag.startswith("W/") else ""
