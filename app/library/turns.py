"""Who may work now, where not all may at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

__all__ = ["Turns"]


class Turns:
    """Gives out `limit()` turns, to those who stand first in `order()`. Owned by the service loop.

    Call `deal` when either has changed: more turns are given at once, but none is taken away.
    """

    def __init__(self, limit: Callable[[], int], order: Callable[[], Iterable[str]]) -> None:
        self._limit = limit
        self._order = order
        self._held: set[str] = set()
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def take(self, key: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting[key] = turn
        self.deal()
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.pop(key, None)
            self.give_back(key)
            raise

    def give_back(self, key: str) -> None:
        """Nothing happens to who has none."""
        self._held.discard(key)
        self.deal()

    def deal(self) -> None:
        for key in tuple(self._order()):
            if len(self._held) >= self._limit():
                return
            turn = self._waiting.pop(key, None)
            if turn is not None and not turn.done():
                self._held.add(key)
                turn.set_result(None)
