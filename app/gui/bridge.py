"""The two doors between Qt and the rest: `Bridge.submit` down, signals with frozen values up."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar

import shiboken6
from PySide6.QtCore import QObject, Qt, Signal

from app.domain.errors import AppError
from app.domain.generation import GenerationEvent, ReasoningDelta, TextDelta
from app.domain.observable import Observable
from app.service.loop import ServiceLoop

__all__ = ["Bridge", "Reply", "Task"]

_log = logging.getLogger(__name__)
_FLUSH_S = 0.03
_CLOSE_S = 5.0

T = TypeVar("T")
# Tells of something by the name of a signal and its values. On the service loop.
Tell: TypeAlias = Callable[..., None]


class _Work:
    """A coroutine on the service loop. Plain Python: the loop never holds a Qt object, which it could delete or outlive."""

    def __init__(self, service: ServiceLoop, coroutine: Coroutine[Any, Any, None]) -> None:
        self._service = service
        self._coroutine = coroutine
        self._running: asyncio.Task[None] | None = None
        self._is_cancelled = False
        self.future: concurrent.futures.Future[None] | None = None

    def start(self) -> None:
        self.future = self._service.submit(self._run())

    def cancel(self) -> None:
        """End it. Any thread."""
        self._is_cancelled = True
        self._service.loop.call_soon_threadsafe(self._cancel)

    async def _run(self) -> None:
        # Cancelled from inside, never from outside: a task that is cancelled before its first step does not even begin.
        self._running = asyncio.ensure_future(self._coroutine)
        if self._is_cancelled:
            self._cancel()
        try:
            await asyncio.wait([self._running])
        finally:
            self._running.cancel()

    def _cancel(self) -> None:
        if self._running is not None:
            # Behind its first step, which may still be waiting for its turn.
            asyncio.get_running_loop().call_soon(self._running.cancel)


class _Errand(QObject):
    """Work on the service loop for a `context` on the Qt thread; nobody is told once that is gone. Lives on the Qt thread."""

    def __init__(self, bridge: Bridge, context: QObject | None, make: Callable[[Tell], Coroutine[Any, Any, None]]) -> None:
        super().__init__(bridge)
        self._bridge = bridge
        self._context = context
        self._make = make
        self._work: _Work | None = None

    def cancel(self) -> None:
        """End it; the signals that tell of its end still come."""
        if self._work is not None:
            self._work.cancel()

    def _launch(self) -> None:
        self._work = self._bridge.launch(self._make, self._deliver, self.deleteLater)

    def _deliver(self, signal: str, *values: object) -> None:
        if self._context is None or shiboken6.isValid(self._context):
            getattr(self, signal).emit(*values)


class Task(_Errand):
    """A coroutine on the service loop. Connect first, then `start`; exactly one of the first three signals arrives, on the Qt
    thread. `progressed` comes before that, from work that tells how far it is."""

    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    progressed = Signal(object)

    def __init__(self, bridge: Bridge, make: Callable[[Tell], Coroutine[Any, Any, Any]], context: QObject | None) -> None:
        super().__init__(bridge, context, lambda tell: _run(make(tell), tell))

    def start(self) -> Task:
        self._launch()
        return self


class Reply(_Errand):
    """One answer on its way into the window. Connect first, then `start`; signals arrive on the Qt thread.

    Text is joined for about 30 ms before it is handed on. `done` always comes last, after a failure or `cancel` too.
    """

    arrived = Signal(object)
    failed = Signal(object)
    done = Signal()

    def __init__(self, bridge: Bridge, events: AsyncGenerator[GenerationEvent, None], context: QObject | None) -> None:
        super().__init__(bridge, context, lambda tell: _Pump(events, tell).run())

    def start(self) -> Reply:
        self._launch()
        return self


async def _run(coroutine: Coroutine[Any, Any, Any], tell: Tell) -> None:
    try:
        result = await coroutine
    except asyncio.CancelledError:
        tell("cancelled")
        raise
    except AppError as error:
        tell("failed", error)
    except Exception as error:  # noqa: BLE001 - the edge of the window: a bug is shown, not swallowed
        _log.exception("A task of the window failed")
        tell("failed", error)
    else:
        tell("succeeded", result)


class _Pump:
    """Hands the events of an answer on, text joined. On the service loop."""

    def __init__(self, events: AsyncGenerator[GenerationEvent, None], tell: Tell) -> None:
        self._events = events
        self._tell = tell
        self._held: TextDelta | ReasoningDelta | None = None
        self._flush: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    self._take(event)
        except AppError as error:
            self._hand_on()
            self._tell("failed", error)
        except Exception as error:  # noqa: BLE001 - the edge of the window: a bug is shown, not swallowed
            _log.exception("An answer failed")
            self._hand_on()
            self._tell("failed", error)
        finally:
            self._hand_on()
            self._tell("done")

    def _take(self, event: GenerationEvent) -> None:
        match event:
            case TextDelta(text) | ReasoningDelta(text):
                if self._held is not None and type(event) is not type(self._held):
                    self._hand_on()
                self._held = type(event)(self._held.text + text if self._held is not None else text)
                if self._flush is None:
                    self._flush = asyncio.get_running_loop().call_later(_FLUSH_S, self._hand_on)
            case _:
                self._hand_on()
                self._tell("arrived", event)

    def _hand_on(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._held is not None:
            self._tell("arrived", self._held)
            self._held = None


class Bridge(QObject):
    """Made on the Qt thread, once.

    What goes up is put in a queue of plain values, each addressed by a number, and a bare signal of the bridge wakes the Qt
    thread to take it: no Qt object but the bridge is ever touched by the loop.
    """

    _posted = Signal()

    def __init__(self, service: ServiceLoop, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._service = service
        self._numbers = itertools.count()
        self._letters: deque[tuple[int, tuple[Any, ...]]] = deque()
        self._receivers: dict[int, Callable[..., None]] = {}
        self._works: dict[int, _Work] = {}
        self._unsubscribes: list[Callable[[], None]] = []
        self._posted.connect(self._take_letter, Qt.ConnectionType.QueuedConnection)

    def submit(self, coroutine: Coroutine[Any, Any, Any], context: QObject | None = None) -> Task:
        """A task for the service loop, not yet started. Its signals come only while `context` exists."""
        return Task(self, lambda _tell: coroutine, context)

    def follow(
        self, make: Callable[[Callable[[object], None]], Coroutine[Any, Any, Any]], context: QObject | None = None
    ) -> Task:
        """A task, not yet started, whose coroutine is given a function to tell its progress by, on the service loop."""
        return Task(self, lambda tell: make(lambda value: tell("progressed", value)), context)

    def call(self, function: Callable[[], Any], context: QObject | None = None) -> Task:
        """A task, not yet started, for something on the service loop that does not wait: a look, a setting, a start."""

        async def run() -> Any:
            return function()

        return self.submit(run(), context)

    def reply(self, events: AsyncGenerator[GenerationEvent, None], context: QObject | None = None) -> Reply:
        """An answer, not yet started."""
        return Reply(self, events, context)

    def watch(self, observable: Observable[T], slot: Callable[[T], None]) -> None:
        """Call `slot` on the Qt thread with every value from now on, for as long as the object it belongs to exists."""
        number = next(self._numbers)
        self._receivers[number] = slot
        self._service.loop.call_soon_threadsafe(
            lambda: self._unsubscribes.append(observable.subscribe(lambda value: self._post(number, value)))
        )

    def launch(
        self,
        make: Callable[[Tell], Coroutine[Any, Any, None]],
        receive: Callable[..., None],
        after: Callable[[], None],
    ) -> _Work:
        """Start work that tells `receive` of its progress; `after` is called once it has ended. All on the Qt thread."""
        number, last = next(self._numbers), next(self._numbers)

        def end() -> None:
            for known in (number, last):
                del self._receivers[known]
            del self._works[number]
            after()

        self._receivers[number], self._receivers[last] = receive, end
        work = self._works[number] = _Work(self._service, make(lambda *letter: self._post(number, *letter)))
        work.start()
        assert work.future is not None
        work.future.add_done_callback(lambda _: self._post(last))
        return work

    def close(self) -> None:
        """Stop watching, and end what still runs without a word. Call before the window is destroyed."""

        async def unsubscribe() -> None:
            for undo in self._unsubscribes:
                undo()
            self._unsubscribes.clear()

        works = tuple(self._works.values())
        for work in works:
            work.cancel()
        concurrent.futures.wait([work.future for work in works if work.future is not None], _CLOSE_S)
        self._service.submit(unsubscribe()).result()
        self._receivers.clear()
        self.deleteLater()

    def _post(self, number: int, *values: Any) -> None:
        """On the service loop."""
        self._letters.append((number, values))
        self._posted.emit()

    def _take_letter(self) -> None:
        number, values = self._letters.popleft()
        receive = self._receivers.get(number)
        owner = getattr(receive, "__self__", None)
        if receive is not None and not (isinstance(owner, QObject) and not shiboken6.isValid(owner)):
            receive(*values)
