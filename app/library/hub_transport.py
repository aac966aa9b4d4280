"""Requests to the hub as the settings of the moment want them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import httpx2

from app.library.hub_access import HubAccess

__all__ = ["HubTransport"]

T = TypeVar("T")


class HubTransport(httpx2.AsyncBaseTransport):
    """Sends through the proxy that is set, and ends what is under way when the hub is switched off."""

    def __init__(self, access: HubAccess, *, keeps_connections: bool) -> None:
        self._access = access
        self._limits = httpx2.Limits(max_keepalive_connections=None if keeps_connections else 0)
        self._ways: dict[str, httpx2.AsyncClient] = {}
        self._making = asyncio.Lock()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._access.check_online()
        way = await self._way(self._access.proxy)
        exchange = _Exchange(self._access)
        self._access.began(exchange)
        try:
            response = await exchange.step(lambda: way.send(request, stream=True))
        except BaseException:
            self._access.ended(exchange)
            raise
        body = _Body(response, exchange, self._access)
        return httpx2.Response(response.status_code, headers=response.headers, stream=body, extensions=response.extensions)

    async def aclose(self) -> None:
        for client in self._ways.values():
            await client.aclose()
        self._ways.clear()

    async def _way(self, proxy: str) -> httpx2.AsyncClient:
        """A client for the proxy. Without one it finds the system's by itself, which a bare transport would not."""
        async with self._making:
            if proxy not in self._ways:
                # Reading the system's certificates takes a while.
                self._ways[proxy] = await asyncio.to_thread(
                    httpx2.AsyncClient, proxy=proxy or None, timeout=None, limits=self._limits
                )
        return self._ways[proxy]


class _Exchange:
    """One request and its answer. Whoever waits for either gets HubOffline once it is stopped."""

    def __init__(self, access: HubAccess) -> None:
        self._access = access
        self._waiting: asyncio.Timeout | None = None

    async def step(self, wait: Callable[[], Awaitable[T]]) -> T:
        self._access.check_online()
        try:
            async with asyncio.timeout(None) as self._waiting:
                return await wait()
        except TimeoutError:
            self._access.check_online()
            raise
        finally:
            self._waiting = None

    def stop(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.reschedule(asyncio.get_running_loop().time())


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response, exchange: _Exchange, access: HubAccess) -> None:
        self._response = response
        self._exchange = exchange
        self._access = access

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        chunks = aiter(stream)
        while (chunk := await self._exchange.step(lambda: anext(chunks, None))) is not None:
            yield chunk

    async def aclose(self) -> None:
        self._access.ended(self._exchange)
        await self._response.aclose()
