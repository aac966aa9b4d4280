"""Questions to the service loop that count only until something else is asked."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import shiboken6
from PySide6.QtCore import QObject

from app.gui.bridge import Bridge, Task

__all__ = ["Errands"]


class Errands:
    """For one widget, on the Qt thread: answers come only while it exists, and none after `drop`."""

    def __init__(self, bridge: Bridge, context: QObject) -> None:
        self._bridge = bridge
        self._context = context
        self._tasks: list[Task] = []
        self._round = 0

    def start(
        self,
        coroutine: Coroutine[Any, Any, Any],
        take: Callable[[Any], None],
        fail: Callable[[Exception], None] | None = None,
    ) -> None:
        asked = self._round
        task = self._bridge.submit(coroutine, self._context)
        task.succeeded.connect(lambda found: take(found) if asked == self._round else None)
        if fail is not None:
            task.failed.connect(lambda error: fail(error) if asked == self._round else None)
        self._tasks = [*(one for one in self._tasks if shiboken6.isValid(one)), task.start()]

    def drop(self) -> None:
        """End what is under way."""
        self._round += 1
        for task in self._tasks:
            if shiboken6.isValid(task):
                task.cancel()
        self._tasks.clear()
