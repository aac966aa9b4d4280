"""uvicorn made a guest: no signal handlers, no polling, no logging set-up, and errors in our shape from the first byte on."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Generator
from contextlib import contextmanager

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.server.errors import http_problem

__all__ = ["GuestServer", "guest_config"]

_HEADER_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 30
_MAX_HEADER_BYTES = 32 * 1024
_GRACE_S = 1.0


class HttpProtocol(H11Protocol):
    """Closes connections that never send a request, and answers what is no HTTP in the API's error shape."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._impatience = self.loop.call_later(_HEADER_TIMEOUT_S, self._lose_patience)

    def connection_lost(self, exc: Exception | None) -> None:
        self._impatience.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        problem = http_problem(400, msg)
        body = json.dumps(problem.body()).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        answer = h11.Response(status_code=problem.status, headers=headers, reason=b"Bad Request")
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _lose_patience(self) -> None:
        if getattr(self, "cycle", None) is None:  # uvicorn declares it as always set, and begins with None
            self.transport.close()


class GuestServer(uvicorn.Server):
    """Serves on the loop that awaits `serve`, until `leave` is called."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals belong to the program, not to a server that a person can switch off."""
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self.ready.set()
        await self._leaving.wait()

    def leave(self) -> None:
        self.should_exit = True
        self._leaving.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Free the port, let requests end for a second, then cancel them; every request has ended when this returns.

        uvicorn's own polls, at least 0.1 s, and does not wait for those that it cancels.
        """
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            _, late = await asyncio.wait(tuple(self.server_state.tasks), timeout=_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in tuple(self.server_state.connections):
            connection.transport.close()


def guest_config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
    )
