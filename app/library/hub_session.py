"""huggingface_hub's client, sent over a `HubAccess`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Final, TypeVar

import httpx2
from huggingface_hub import HfApi, constants, set_client_factory

from app.domain.errors import HubUnreachable
from app.library.hub_access import HubAccess
from app.library.hub_errors import refusal, retry_after_s

__all__ = ["HubSession"]

T = TypeVar("T")

_TIMEOUT: Final = httpx2.Timeout(20.0, connect=10.0)
_WHOLE_S: Final = 60.0
_MAX_BYTES: Final = 32 << 20
_TRIES: Final = 2
_REDIRECTS: Final = 5
_PAUSE_S: Final = 0.5
_AT_ONCE: Final = 4
_PASSING: Final = frozenset({502, 503, 504})


class HubSession:
    """Runs what huggingface_hub does, which blocks, on threads, and its requests on the service loop, which owns this.

    So a cancelled question ends its request at once, and so does switching the hub off. Its own waits and tries are left out:
    somebody looks on.
    """

    def __init__(self, access: HubAccess, *, keeps_connections: bool) -> None:
        self._access = access
        self._client = access.client(timeout=_TIMEOUT, keeps_connections=keeps_connections)
        # Of its own: a hub that does not answer must not hold up what is written to the disk.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="hub")
        self._calls: set[_Call] = set()
        _use_bridge()

    async def ask(self, work: Callable[[HfApi], T]) -> T:
        """Raises what `work` does, HubUnreachable and its kinds."""
        self._access.check_online()
        # Once: it may change while the token is looked up, and that belongs to this one.
        endpoint = self._access.endpoint
        token = await self._access.token(endpoint)
        api = HfApi(endpoint=endpoint, token=token.value if token else False, library_name="hearth")
        call = _Call(self._client, self._access)
        self._calls.add(call)
        try:
            run = functools.partial(copy_context().run, call.run, work, api)
            return await asyncio.get_running_loop().run_in_executor(self._threads, run)
        except asyncio.CancelledError:
            call.cancel()
            raise
        finally:
            self._calls.discard(call)

    async def text(self, url: str, *, max_bytes: int) -> tuple[int, str]:
        """Status and beginning of what is at an address of the hub."""
        headers = await self._access.headers(url)
        request = self._client.build_request("GET", url, headers=headers)
        status, _, body = await _Call(self._client, self._access).fetch(request, max_bytes=max_bytes, cut=True, redirects=True)
        return status, body.decode("utf-8", errors="replace")

    async def close(self) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.to_thread(self._threads.shutdown)
        await self._client.aclose()


class _Call:
    """One question, which may take several requests."""

    def __init__(self, client: httpx2.AsyncClient, access: HubAccess) -> None:
        self._client = client
        self._access = access
        self._loop = asyncio.get_running_loop()
        self._request: asyncio.Task[object] | None = None
        self._cancelled = False

    def run(self, work: Callable[[HfApi], T], api: HfApi) -> T:
        """On a thread, in a context of its own."""
        _current.set(self)
        return work(api)

    def cancel(self) -> None:
        self._cancelled = True
        if self._request is not None:
            self._request.cancel()

    def send(self, request: httpx2.Request) -> httpx2.Response:
        """What the bridge calls, on the thread."""
        request.read()
        return asyncio.run_coroutine_threadsafe(self._answer(request), self._loop).result()

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if self._cancelled:
            raise asyncio.CancelledError
        self._request = asyncio.current_task()
        status, headers, body = await self.fetch(request, max_bytes=_MAX_BYTES)
        return httpx2.Response(status, headers=headers, content=body, request=request)

    async def fetch(
        self, request: httpx2.Request, *, max_bytes: int, cut: bool = False, redirects: bool = False
    ) -> tuple[int, httpx2.Headers, bytes]:
        """Raises HubUnreachable kinds for what another try, later, may mend."""
        host = self._access.host
        for left in reversed(range(_TRIES)):
            try:
                async with asyncio.timeout(_WHOLE_S):
                    status, headers, body = await self._once(request, max_bytes, cut=cut, redirects=redirects)
                if status not in _PASSING or not left:
                    break
            except httpx2.RemoteProtocolError as error:
                # Also when a connection was kept open for longer than the hub likes.
                if not left:
                    raise HubUnreachable(f"The connection to {host} was lost. Try again.") from error
            except (httpx2.TimeoutException, TimeoutError) as error:
                raise HubUnreachable(f"{host} did not answer in time. Try again later.") from error
            except httpx2.ProxyError as error:
                raise HubUnreachable(
                    f"The proxy on the way to {host} does not let requests through. Check its address."
                ) from error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise HubUnreachable(f"{host} can't be reached. Check the network connection.") from error
            await asyncio.sleep(_PAUSE_S)
        if status == 429 or status >= 500:
            raise refusal(self._access, "", status, retry_after_s(headers))
        return status, headers, body

    async def _once(
        self, request: httpx2.Request, max_bytes: int, *, cut: bool, redirects: bool
    ) -> tuple[int, httpx2.Headers, bytes]:
        sent = httpx2.Request(request.method, request.url, headers=request.headers, content=request.content)
        sent.extensions = {**sent.extensions, "timeout": _TIMEOUT.as_dict()}
        response = await self._client.send(sent, stream=True, follow_redirects=redirects)
        try:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > max_bytes:
                    if not cut:
                        raise HubUnreachable(f"{self._access.host} sends more than a model hub would.")
                    del body[max_bytes:]
                    break
        finally:
            await response.aclose()
        headers = httpx2.Headers(response.headers)
        for name in ("content-encoding", "content-length", "transfer-encoding"):
            headers.pop(name, None)
        return response.status_code, headers, bytes(body)


_current: ContextVar[_Call] = ContextVar("hub call")


class _Bridge(httpx2.BaseTransport):
    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return _current.get().send(request)


@functools.cache
def _use_bridge() -> None:
    """Once in a process: huggingface_hub has one client for all."""
    # Otherwise 2.4 asks huggingface.co which agents there are before the first call, even where a mirror is used.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    set_client_factory(
        lambda: httpx2.Client(transport=_Bridge(), follow_redirects=True, max_redirects=_REDIRECTS, timeout=None)
    )
