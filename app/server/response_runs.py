"""Responses in the background: made whether or not anyone listens, and listened to from any event on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias

from starlette.responses import Response, StreamingResponse

from app.domain.errors import AppError, EngineBusy, EngineStopped
from app.domain.generation import Finished
from app.server.answers import IndexedEvent, Tally
from app.server.errors import INTERNAL_PROBLEM, Problem, problem_of
from app.server.streaming import PING_S
from app.server.wire.reply import PING
from app.server.wire.responses.frames import CANCELLED, ResponseFrames

__all__ = ["ResponseRun", "ResponseRuns", "followed", "replayed"]

_log = logging.getLogger(__name__)
_MAX_RUNNING = 64

RunEnd: TypeAlias = Callable[[tuple[bytes, ...], str | None], None]


class ResponseRun:
    """One response that is being made, and every event of its stream: the one numbered n is the n-th.

    `tally` counts what is read and written. `on_end` is called once, with all events and with what went wrong, if anything did.
    """

    def __init__(
        self,
        events: AsyncGenerator[IndexedEvent, None],
        frames: ResponseFrames,
        tally: Tally,
        on_end: RunEnd,
    ) -> None:
        self._events = events
        self._frames = frames
        self._tally = tally
        self._on_end = on_end
        self._written: list[bytes] = []
        self._ended = False
        self._grown = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="response")

    @property
    def body(self) -> dict[str, Any]:
        """The response as far as it got."""
        return self._frames.unfinished()

    async def cancel(self) -> None:
        """End it here, if it has not ended."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def follow(self, starting_after: int, *, ping_s: float = PING_S) -> AsyncGenerator[bytes, None]:
        """The events after that one, as they come, to the last."""
        position = starting_after + 1
        while True:
            grown = self._grown
            ended = self._ended
            if position < len(self._written):
                yield b"".join(self._written[position:])
                position = len(self._written)
            if ended:
                return
            try:
                async with asyncio.timeout(ping_s):
                    await grown.wait()
            except TimeoutError:
                yield PING

    async def _run(self) -> None:
        error: str | None = None
        try:
            await self._write_events()
        except AppError as failure:
            error = self._fail(problem_of(failure))
        except asyncio.CancelledError:
            error = CANCELLED
            self._write(self._frames.cancelled())
        except Exception:  # noqa: BLE001 - like a route: a bug is told to who listens, and logged
            _log.exception("A response in the background failed")
            error = self._fail(INTERNAL_PROBLEM)
        finally:
            self._ended = True
            self._wake()
            self._on_end(tuple(self._written), error)

    def _fail(self, problem: Problem) -> str:
        self._write(self._frames.failed(problem))
        return problem.message

    async def _write_events(self) -> None:
        self._write(self._frames.opening())
        async with aclosing(self._events) as events:
            async for index, event in events:
                if isinstance(event, Finished):
                    self._tally.add(index, event)
                self._write(self._frames.event(index, event))
        self._write(self._frames.closing(self._tally))

    def _write(self, frames: bytes) -> None:
        # No event has an empty line in it, and each ends with one.
        self._written += [frame + b"\n\n" for frame in frames.split(b"\n\n")[:-1]]
        self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


class ResponseRuns:
    """Those that run, by id. Owned by the service loop; `close` ends them all."""

    def __init__(self) -> None:
        self._runs: dict[str, ResponseRun] = {}
        self._closed = False

    def begin(
        self,
        response_id: str,
        events: AsyncGenerator[IndexedEvent, None],
        frames: ResponseFrames,
        tally: Tally,
        on_end: RunEnd,
    ) -> ResponseRun:
        """Raises EngineBusy, and EngineStopped while the server is being switched off."""
        if self._closed:
            raise EngineStopped("The server is being switched off.")
        if len(self._runs) >= _MAX_RUNNING:
            raise EngineBusy

        def end(written: tuple[bytes, ...], error: str | None) -> None:
            del self._runs[response_id]
            on_end(written, error)

        run = self._runs[response_id] = ResponseRun(events, frames, tally, end)
        return run

    def get(self, response_id: str) -> ResponseRun | None:
        return self._runs.get(response_id)

    async def cancel(self, response_id: str) -> None:
        """End it, if it runs."""
        run = self._runs.get(response_id)
        if run is not None:
            await run.cancel()

    async def close(self) -> None:
        self._closed = True
        await asyncio.gather(*(run.cancel() for run in tuple(self._runs.values())))


def followed(events: AsyncIterable[bytes], *, headers: Mapping[str, str] | None = None) -> Response:
    """A stream that may be left and taken up again."""
    told = {"cache-control": "no-cache", "x-accel-buffering": "no", **(headers or {})}
    return StreamingResponse(events, headers=told, media_type="text/event-stream")


async def replayed(events: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    """Of a response that has ended, without waiting."""
    yield b"".join(events)
