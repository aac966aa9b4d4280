from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.server.turns import Turns

pytestmark = pytest.mark.anyio


class Begun:
    """An app that keeps what was begun, and in which pass of the loop."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.passes: list[int] = []
        self.turns = Turns(self._app)
        self._pass = 0
        self._counting = asyncio.create_task(self._count())

    async def _count(self) -> None:
        while True:
            self._pass += 1
            await asyncio.sleep(0)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        self.passes.append(self._pass)

    def ask(self, path: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._ask(path))

    async def _ask(self, path: str) -> None:
        await self.turns({"type": "http", "path": path}, _receive, _send)

    async def close(self) -> None:
        self._counting.cancel()
        await asyncio.gather(self._counting, return_exceptions=True)


async def _receive() -> Message:
    raise AssertionError


async def _send(message: Message) -> None:
    raise AssertionError


async def test_a_flood_begins_little_by_little_in_its_order() -> None:
    begun = Begun()
    paths = [f"/{number}" for number in range(50)]
    await asyncio.gather(*map(begun.ask, paths))
    await begun.close()
    assert begun.paths == paths
    assert max(begun.passes.count(one) for one in begun.passes) <= 8
    assert len(set(begun.passes)) > 6


async def test_health_does_not_wait_behind_a_flood() -> None:
    begun = Begun()
    flood = [begun.ask(f"/{number}") for number in range(50)]
    await begun.ask("/health")
    assert len(begun.paths) < 20
    await asyncio.gather(*flood)
    await begun.close()


async def test_who_leaves_while_waiting_takes_nobodys_turn() -> None:
    begun = Begun()
    flood = [begun.ask(f"/{number}") for number in range(20)]
    await asyncio.sleep(0)
    for task in flood[10:19]:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    await asyncio.wait_for(begun.ask("/last"), 5)
    await begun.close()
    assert begun.paths == [*(f"/{number}" for number in range(10)), "/19", "/last"]


async def test_one_that_comes_alone_waits_for_nothing() -> None:
    begun = Begun()
    asked = begun._ask("/alone")
    with pytest.raises(StopIteration):
        asked.send(None)
    await begun.close()
    assert begun.paths == ["/alone"]
