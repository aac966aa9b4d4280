"""Requests that wait for a place."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from app.domain.errors import EngineBusy
from app.engine.generation import Generation

__all__ = ["WaitingQueue"]

# A preferred request counts as having arrived this many requests earlier, so no other is overtaken without end.
_HEAD_START = 64


class WaitingQueue:
    """First come, first served, with a head start for preferred requests; at most `limit` new ones. Engine thread only."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._arrivals = 0
        self._queue: list[tuple[int, int, Generation]] = []

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Generation]:
        """In the order in which they are served; may be changed meanwhile."""
        return (generation for _, _, generation in tuple(self._queue))

    def __contains__(self, generation: Generation) -> bool:
        return any(one is generation for _, _, one in self._queue)

    def check_room(self) -> None:
        """Raises EngineBusy."""
        if len(self._queue) >= self._limit:
            raise EngineBusy

    def add(self, generation: Generation) -> None:
        self._arrivals += 1
        generation.arrival = self._arrivals - (_HEAD_START if generation.preferred else 0)
        self.put_back(generation)

    def put_back(self, generation: Generation) -> None:
        """Where it stood, for one that was begun and has to wait again."""
        bisect.insort(self._queue, (generation.arrival, id(generation), generation), key=lambda item: item[:2])

    def remove(self, generation: Generation) -> None:
        self._queue = [item for item in self._queue if item[2] is not generation]

    def clear(self) -> None:
        self._queue.clear()
