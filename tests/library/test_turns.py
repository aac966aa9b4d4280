"""Who may work now."""

from __future__ import annotations

import asyncio

import pytest

from app.library.turns import Turns

pytestmark = pytest.mark.anyio


async def test_the_first_of_the_order_comes_first_whoever_asked_first() -> None:
    order = ["a", "b", "c"]
    turns = Turns(lambda: 1, lambda: order)
    had: list[str] = []

    async def work(key: str) -> None:
        await turns.take(key)
        had.append(key)
        turns.give_back(key)

    await turns.take("a")
    waiting = [asyncio.ensure_future(work(key)) for key in ("c", "b")]
    await asyncio.sleep(0)
    turns.give_back("a")
    await asyncio.gather(*waiting)

    assert had == ["b", "c"]


async def test_a_turn_that_comes_as_its_taker_gives_up_is_passed_on() -> None:
    turns = Turns(lambda: 1, lambda: ("a", "b", "c"))
    await turns.take("a")
    second, third = (asyncio.ensure_future(turns.take(key)) for key in ("b", "c"))
    await asyncio.sleep(0)

    turns.give_back("a")
    second.cancel()

    await asyncio.wait_for(third, 5)
    assert second.cancelled()


async def test_a_lower_limit_takes_no_turn_away() -> None:
    limit = 2
    turns = Turns(lambda: limit, lambda: ("a", "b", "c"))
    await turns.take("a")
    await turns.take("b")
    limit = 1
    third = asyncio.ensure_future(turns.take("c"))
    await asyncio.sleep(0)

    turns.give_back("a")
    await asyncio.sleep(0)
    assert not third.done()
    turns.give_back("b")
    await asyncio.wait_for(third, 5)
