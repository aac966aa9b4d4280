"""Each request gets an id, a line in the log, and a record for the window's server page."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.errors import ModelNotFound
from app.domain.generation import Timings, Usage
from app.library.library import ModelLibrary
from app.server.answers import Tally
from app.server.error_shape import error_response, identify
from app.server.errors import INTERNAL_PROBLEM, STOPPING_PROBLEM, Problem
from app.server.metrics import Metrics
from app.service.activity import Activity, RequestRecord

__all__ = ["Recorder", "RequestTrack", "new_request_id", "track_of"]

_log = logging.getLogger(__name__)
_SCOPE_KEY = "hearth.track"
_RECORDED = ("/v1/", "/rerank")
_LONGEST_PATH = 200
# A header takes no other letters than these as they are.
_PLAIN = "/ :@!$&'()*+,;=[]{}#?^`|"


class RequestTrack:
    """What is known so far of one running request. The routes tell it what only they know."""

    def __init__(
        self,
        endpoint: str,
        listener: Callable[[RequestRecord], None] | None,
        counted: Callable[[Usage, Timings | None], None] | None = None,
    ) -> None:
        """`counted` is told what was read and written."""
        self.id = new_request_id()
        self.endpoint = endpoint
        self.status: int | None = None
        self.error: str | None = None
        self.key = ""
        self._listener = listener
        self._counted = counted
        self._model = ""
        self._usage: Usage | None = None
        self._outlived = False
        self._tokens_per_s: float | None = None
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()
        self._tell()

    def named(self, model: str) -> None:
        """The request's body has been read, and asks for `model`."""
        self._model = model
        self._tell()

    @property
    def model(self) -> str:
        """The name that the request has for its model, "" if it asks for none."""
        return self._model

    def count(self, tally: Tally) -> None:
        """What has been read and written. Nothing is known of choices that were cut short."""
        if not tally.finished:
            return
        self._usage = tally.usage
        if tally.generation_s > 0:
            self._tokens_per_s = self._usage.completion_tokens / tally.generation_s
        if self._counted is not None:
            self._counted(self._usage, tally.first.timings if tally.first is not None else None)

    def outlived(self) -> None:
        """What was asked for is made after the request has been answered: until `finish` it is on record as running."""
        self._outlived = True

    def finish(self, tally: Tally, error: str | None) -> None:
        """The end of what outlived the request."""
        self._outlived = False
        self.error = error
        self.count(tally)
        self.close()

    def close(self) -> float:
        """The last record, unless the request is outlived. Returns how long it took, in seconds."""
        duration_s = time.perf_counter() - self._clock
        if not self._outlived:
            self._tell(duration_s)
        return duration_s

    def _tell(self, duration_s: float | None = None) -> None:
        if self._listener is None:
            return
        usage = self._usage
        record = RequestRecord(
            id=self.id,
            started=self._started,
            endpoint=self.endpoint,
            model=self._model,
            status=self.status if duration_s is not None else None,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            tokens_per_s=self._tokens_per_s,
            duration_s=duration_s,
            error=self.error,
            key=self.key,
        )
        self._listener(record)


def track_of(connection: HTTPConnection) -> RequestTrack:
    """The track that `Recorder` opened for this request."""
    track: RequestTrack = connection.scope[_SCOPE_KEY]
    return track


def new_request_id() -> str:
    return f"req_{uuid.uuid4().hex}"


class Recorder:
    """The outermost layer of the app, and the edge where a bug becomes a 500 and a line in the log."""

    def __init__(self, app: ASGIApp, activity: Activity, metrics: Metrics, library: ModelLibrary) -> None:
        self._app = app
        self._activity = activity
        self._metrics = metrics
        self._library = library

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        listener = self._activity.record if path.startswith(_RECORDED) else None
        track = scope[_SCOPE_KEY] = RequestTrack(path[:_LONGEST_PATH], listener, self._metrics.generated)
        tags = [(name.encode(), value.encode()) for name, value in identify(scope, track.id).items()]

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                track.status = message["status"]
                message["headers"] = [*message["headers"], *tags, *self._answering(track)]
            await send(message)

        async def fail(problem: Problem) -> None:
            track.error = problem.message
            if track.status is None:
                await error_response(scope, problem)(scope, receive, tagged)

        self._metrics.begun()
        try:
            await self._app(scope, receive, tagged)
        except asyncio.CancelledError:
            # The server is being switched off. Not raised again: uvicorn would log it as a failure of the app.
            await fail(STOPPING_PROBLEM)
        except Exception:  # noqa: BLE001 - the edge of the API: a bug is answered and logged, and the server goes on
            _log.exception("%s %r failed (%s)", scope["method"], track.endpoint, track.id)
            await fail(INTERNAL_PROBLEM)
        finally:
            duration_s = track.close()
            self._metrics.ended(_endpoint(scope), track.status, duration_s)
            _log.info("%s %r: %s in %.3f s (%s)", scope["method"], track.endpoint, track.status, duration_s, track.id)

    def _answering(self, track: RequestTrack) -> list[tuple[bytes, bytes]]:
        """Which model answers: the request may have called it by another name."""
        if not track.model or track.status != HTTPStatus.OK:
            return []
        try:
            model = self._library.resolve_any(track.model)
        except ModelNotFound:
            return []
        return [(b"x-hearth-model", quote(model.id, safe=_PLAIN).encode("ascii"))]


def _endpoint(scope: Scope) -> str | None:
    """The path as the routes know it, with names in place of what clients put there."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path
