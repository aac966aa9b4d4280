"""Server-sent events: an answer as it grows, for as long as the client listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.domain.errors import AppError
from app.domain.generation import Finished, GenerationEvent
from app.server.answers import IndexedEvent, Tally
from app.server.errors import INTERNAL_PROBLEM, STOPPING_PROBLEM, Problem, problem_of
from app.server.recording import RequestTrack

__all__ = ["EventStream", "Frames", "while_connected"]

# How long the status code waits for the model before the stream is opened all the same, so that the client hears something.
DECIDE_S = 15.0
PING_S = 10.0

T = TypeVar("T")


class Frames(Protocol):
    """Writes one endpoint's stream. b"" writes nothing."""

    def opening(self) -> bytes: ...

    def event(self, index: int, event: GenerationEvent) -> bytes: ...

    def ping(self) -> bytes:
        """Said whenever nothing else was for a while."""
        ...

    def closing(self, tally: Tally) -> bytes:
        """The end of a stream that went well."""
        ...

    def failed(self, problem: Problem) -> bytes:
        """The end of one that did not."""
        ...


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do `work`, or cancel it and raise ClientDisconnect when the client leaves. The body must have been read."""
    task = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request.receive))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        await _cancel(task, leaving)


class EventStream(Response):
    """One streamed answer. It owns `events` and closes them whatever happens: end, error, or a client that leaves.

    Await `decide` first: an error that comes before the first event is raised there, and becomes a real status code.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[IndexedEvent, None],
        frames: Frames,
        tally: Tally,
        track: RequestTrack,
        *,
        headers: Mapping[str, str],
        ping_s: float = PING_S,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no", **headers})
        self._events = events
        self._frames = frames
        self._tally = tally
        self._track = track
        self._ping_s = ping_s
        self._started = False
        self._wrote = False
        self._first: asyncio.Task[IndexedEvent | None] | None = None

    async def decide(self, timeout_s: float = DECIDE_S) -> None:
        """Wait for the first event. Raises what the generation raises before it; then the events are closed already."""
        self._first = asyncio.create_task(self._next())
        decided = False
        try:
            await asyncio.wait({self._first}, timeout=timeout_s)
            if self._first.done():
                self._first.result()
            decided = True
        finally:
            if not decided:
                await self._close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writing = asyncio.create_task(self._write(send))
        leaving = asyncio.create_task(_left(receive))
        pinging = asyncio.create_task(self._keep_alive(send))
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _cancel(writing, pinging)
            if self._started:
                await self._fail(send, STOPPING_PROBLEM)
            raise
        finally:
            await _cancel(writing, leaving, pinging)
            await self._close()
            self._track.count(self._tally)
        if writing.cancelled():
            self._track.status = 499
            self._track.error = "The client left before the answer was finished."
        else:
            writing.result()

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        self._started = True
        try:
            await _send(send, self._frames.opening())
            await self._write_events(send)
            await _send(send, self._frames.closing(self._tally))
        except AppError as error:
            await self._fail(send, problem_of(error))
        except Exception:
            await self._fail(send, INTERNAL_PROBLEM)
            raise
        else:
            await _send(send, b"", more=False)

    async def _fail(self, send: Send, problem: Problem) -> None:
        """End the stream with an error."""
        self._track.error = problem.message
        await _send(send, self._frames.failed(problem))
        await _send(send, b"", more=False)

    async def _write_events(self, send: Send) -> None:
        event = await (self._first or self._next())
        while event is not None:
            await self._write_event(event, send)
            event = await anext(self._events, None)

    async def _next(self) -> IndexedEvent | None:
        return await anext(self._events, None)

    async def _write_event(self, indexed: IndexedEvent, send: Send) -> None:
        index, event = indexed
        if isinstance(event, Finished):
            self._tally.add(index, event)
        frame = self._frames.event(index, event)
        if frame:
            self._wrote = True
            await send({"type": "http.response.body", "body": frame, "more_body": True})

    async def _keep_alive(self, send: Send) -> None:
        """A comment whenever nothing was written for a while: proxies and clients would take the silence for a failure."""
        while True:
            self._wrote = False
            await asyncio.sleep(self._ping_s)
            if self._started and not self._wrote:
                await _send(send, self._frames.ping())

    async def _close(self) -> None:
        if self._first is not None:
            await _cancel(self._first)
        await self._events.aclose()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
