"""When idle models leave the memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Alarm", "KeepAlive", "Timer"]


class Alarm(Protocol):
    """Something that was set to happen later."""

    def cancel(self) -> None: ...


class Timer(Protocol):
    def __call__(self, delay_s: float, call: Callable[[], None], /) -> Alarm:
        """Have `call` called on the service loop after a time."""
        ...


class KeepAlive:
    """An alarm per idle model. Owned by the service loop."""

    def __init__(self, timer: Timer | None = None, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now` is the time of day that people are told."""
        self._timer = timer or _on_running_loop
        self._now = now
        self._alarms: dict[str, Alarm] = {}

    def begin(self, model_id: str, seconds: float, expire: Callable[[], None]) -> datetime:
        """Call `expire` after a time, unless `stop` comes first; return when that is."""
        self.stop(model_id)
        self._alarms[model_id] = self._timer(seconds, expire)
        return self._now() + timedelta(seconds=seconds)

    def stop(self, model_id: str) -> None:
        alarm = self._alarms.pop(model_id, None)
        if alarm is not None:
            alarm.cancel()


def _on_running_loop(delay_s: float, call: Callable[[], None]) -> Alarm:
    return asyncio.get_running_loop().call_later(delay_s, call)
