"""Keeps Python's garbage collector on the Qt thread."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

__all__ = ["GarbageCollector"]

_EVERY_MS = 500


class GarbageCollector(QObject):
    """Collects on the Qt thread, and nowhere else, until it is closed.

    Left to itself Python collects on whatever thread happens to allocate. A Qt object that hangs in a cycle of references would
    then be deleted on the service thread, which corrupts Qt's memory.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._was_enabled = gc.isenabled()
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.collect)
        self._timer.start(_EVERY_MS)

    def collect(self) -> None:
        """Collect the oldest generation whose time has come, as Python would."""
        due = [generation for generation, limit in enumerate(gc.get_threshold()) if gc.get_count()[generation] > limit]
        if due:
            gc.collect(due[-1])

    def close(self) -> None:
        """Collect everything once more, and give the collector back."""
        self._timer.stop()
        gc.collect()
        if self._was_enabled:
            gc.enable()
