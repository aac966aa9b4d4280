from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.service.keep_alive import KeepAlive

pytestmark = pytest.mark.anyio


async def test_the_loops_own_clock_rings() -> None:
    rung = asyncio.Event()
    before = datetime.now(UTC)
    at = KeepAlive().begin("a", 0.001, rung.set)
    await asyncio.wait_for(rung.wait(), 5)
    assert timedelta(0) <= at - before < timedelta(seconds=5)


async def test_an_alarm_that_was_stopped_or_set_anew_does_not_ring() -> None:
    rung: list[str] = []
    last = asyncio.Event()
    keep_alive = KeepAlive()
    keep_alive.begin("a", 0.0, lambda: rung.append("first"))
    keep_alive.begin("a", 0.0, lambda: rung.append("second"))
    keep_alive.begin("b", 0.0, lambda: rung.append("stopped"))
    keep_alive.stop("b")
    keep_alive.stop("nobody")
    keep_alive.begin("c", 0.001, last.set)
    await asyncio.wait_for(last.wait(), 5)
    assert rung == ["second"]
