"""An engine's events on their way out: what is new together, not one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter_ns

from app.engine.protocol import EngineEvent, Frame, Tokens

__all__ = ["Outbox"]

# 25 times a second, as often as a film shows a picture. Each sending wakes both processes and the client, on cores that
# compute: on two of them it takes a tenth of a fast model's time.
_APART_NS = 40_000_000


class Outbox:
    """Holds tokens back while the next ones are soon to come. Everything else takes what is held along at once.

    Owned by the engine thread. `emit` must not raise.
    """

    def __init__(self, emit: Callable[[Frame], None], *, clock: Callable[[], int] = perf_counter_ns) -> None:
        """`clock` counts nanoseconds."""
        self.send_ns = 0
        self._emit = emit
        self._clock = clock
        self._held: list[EngineEvent] = []
        self._sent_at = clock() - _APART_NS

    def put(self, events: Iterable[EngineEvent], *, step_ns: int) -> None:
        """Take the events of one step; the next is taken to be as long. Sends them unless they can wait for its own."""
        self._held.extend(events)
        due = self._clock() - self._sent_at + step_ns > _APART_NS
        if due or not all(isinstance(event, Tokens) for event in self._held):
            self.send()

    def send(self) -> None:
        """All that is held."""
        if not self._held:
            return
        frame, self._held = tuple(self._held), []
        started = self._clock()
        self._emit(frame)
        self._sent_at = self._clock()
        self.send_ns += self._sent_at - started
