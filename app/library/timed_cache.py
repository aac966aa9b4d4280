"""Answers that stay good for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["TimedCache"]

T = TypeVar("T")


class TimedCache(Generic[T]):
    """At most `size` values, each for `kept_s`; the one that was used longest ago goes first."""

    def __init__(self, *, size: int, kept_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._kept_s = kept_s
        self._clock = clock
        self._values: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def get(self, key: Hashable) -> T | None:
        entry = self._values.get(key)
        if entry is None:
            return None
        if self._clock() - entry[0] > self._kept_s:
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return entry[1]

    def put(self, key: Hashable, value: T) -> None:
        self._values[key] = (self._clock(), value)
        self._values.move_to_end(key)
        while len(self._values) > self._size:
            self._values.popitem(last=False)

    def clear(self) -> None:
        self._values.clear()
