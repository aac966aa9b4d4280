"""uvicorn made a guest: no signal handlers, no polling, no logging set-up, and errors in our shape from the first byte on."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.server.connections import connection_limit
from app.server.error_shape import error_response, identify
from app.server.errors import STOPPING_PROBLEM, Problem, http_problem
from app.server.recording import new_request_id

__all__ = ["GuestServer", "guest_config"]

_HEADER_TIMEOUT_S = 10.0
# A client that takes nothing of its answer for so long is gone.
_STALLED_S = 120.0
_KEEP_ALIVE_S = 30
_MAX_HEADER_BYTES = 32 * 1024
_GRACE_S = 1.0
# How many connections beyond the limit are kept until they have asked, so that they can be told.
_TURNED_AWAY = 64
_CROWDED_PROBLEM = Problem(
    503,
    "The server has too many connections. Try again in a moment.",
    "server_error",
    "too_many_connections",
    headers=(("retry-after", "1"),),
)


class HttpProtocol(H11Protocol):
    """Closes connections of clients that do not finish what they began to say, or do not read what they asked for; turns away
    those that are too many; and answers what is no HTTP in the API's error shape."""

    _impatience: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        assert isinstance(self.config, GuestConfig)
        beyond = len(self.connections) - self.config.max_connections
        if beyond > _TURNED_AWAY:
            transport.abort()
        elif beyond > 0:
            self.app = _refusing(_CROWDED_PROBLEM)
        self._look_after_client()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._impatience, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look_after_client()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look_after_client()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(_STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def send_400_response(self, msg: str) -> None:
        problem = http_problem(400, msg)
        body = json.dumps(problem.body()).encode()
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("x-request-id", new_request_id()),
            ("connection", "close"),
        ]
        answer = h11.Response(status_code=problem.status, headers=headers, reason=b"Bad Request")
        for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def give_up(self) -> None:
        """Answer no further. What waits for the client to read goes on, and finds it gone."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()

    def _look_after_client(self) -> None:
        if not self._owes_something():
            if self._impatience is not None:
                self._impatience.cancel()
            self._impatience = None
        elif self._impatience is None:
            self._impatience = self.loop.call_later(_HEADER_TIMEOUT_S, self.transport.close)

    def _owes_something(self) -> bool:
        """Whether the client is to finish its headers, or a body that is no longer read. Bodies that are read have limits of
        their own, and uvicorn looks after a connection that is idle between two requests."""
        if getattr(self, "cycle", None) is None:  # uvicorn declares it as always set, and begins with None
            return True
        if not self.cycle.response_complete:
            return False
        if self.conn.their_state is h11.IDLE:
            return bool(self.conn.trailing_data[0]) or self.timeout_keep_alive_task is None
        return self.conn.their_state is h11.SEND_BODY


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
        """Let requests end for a second, in which new ones are told to come later; then cancel them, and free the port. They
        have another to say so to their clients, if those read. Every request has ended when this returns.

        uvicorn's own polls, at least 0.1 s, and does not wait for those that it cancels.
        """
        # Connections that come from now on are made with this app.
        self.config.loaded_app = _refusing(STOPPING_PROBLEM)
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            await asyncio.wait(tuple(self.server_state.tasks), timeout=_GRACE_S)
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        late = tuple(self.server_state.tasks)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_GRACE_S)
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, HttpProtocol):
                connection.give_up()
        await asyncio.gather(*late, return_exceptions=True)
        for connection in tuple(self.server_state.connections):
            connection.transport.close()


class GuestConfig(uvicorn.Config):
    """With what `HttpProtocol` has to know."""

    def __init__(self, app: ASGIApp, *, max_connections: int, **options: Any) -> None:
        super().__init__(app, http=HttpProtocol, **options)
        self.max_connections = max_connections


def guest_config(app: ASGIApp) -> GuestConfig:
    return GuestConfig(
        app,
        max_connections=connection_limit(),
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


def _refusing(problem: Problem) -> ASGIApp:
    """Answers every request alike."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tags = identify(scope, new_request_id())
        answer = error_response(scope, problem)
        answer.headers.update({**tags, "connection": "close"})
        await answer(scope, receive, send)

    return app
