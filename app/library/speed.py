"""How fast bytes arrive, and how long the rest takes."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["SpeedMeter"]

_WINDOW_S: Final = 5.0


class SpeedMeter:
    """The mean over the last seconds, so that the figure on screen is calm. Times are of any one monotonic clock."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, done_bytes: int) -> None:
        """Note how much is done at a moment. Going back (a restart) begins a new measurement."""
        if self._samples and done_bytes < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now, done_bytes))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _WINDOW_S:
            self._samples.popleft()

    @property
    def bytes_per_s(self) -> float:
        if len(self._samples) < 2:
            return 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - start) if end > start else 0.0

    def eta_s(self, left_bytes: int) -> float | None:
        speed = self.bytes_per_s
        return left_bytes / speed if speed > 0 else None
