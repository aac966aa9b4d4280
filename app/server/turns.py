"""A flood of requests begins little by little."""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Turns"]

# Together some milliseconds of work.
_PER_PASS = 4
# What has to be answered in a flood, too.
_AT_ONCE = frozenset({"/health", "/metrics"})


class Turns:
    """Lets a few requests begin in each pass of the event loop, in the order they came.

    The loop does all that is ready before it looks for more: a thousand requests that came together would be begun in one pass,
    and streams, the window and /health would wait for all of them. One that comes alone waits for nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._left = _PER_PASS
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._renewing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _AT_ONCE:
            await self._turn()
        await self._app(scope, receive, send)

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._renewing:
            self._renewing = True
            loop.call_soon(self._renew, loop)
        if self._left > 0 and not self._waiting:
            self._left -= 1
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _renew(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once in each pass, for as long as somebody waits."""
        self._left = _PER_PASS
        while self._left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        self._renewing = bool(self._waiting)
        if self._renewing:
            loop.call_soon(self._renew, loop)
