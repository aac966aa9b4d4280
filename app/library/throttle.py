"""A limit to how fast bytes arrive, for all connections together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Throttle"]


class Throttle:
    """Hands out the time that bytes take at `bytes_per_s()`, 0 being no limit, one after the other. Used by many threads."""

    def __init__(self, bytes_per_s: Callable[[], float], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._free_at = 0.0
        self._lock = threading.Lock()

    def pause_s(self, n_bytes: int) -> float:
        """How long to wait before the next bytes, now that these have arrived."""
        rate = self._bytes_per_s()
        if rate <= 0:
            return 0.0
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now) + n_bytes / rate
            return self._free_at - now
