"""The asyncio thread: what is submitted runs there, and leaving ends all of it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator

import pytest

from app.service.loop import ServiceLoop


def test_submitted_work_runs_on_the_service_thread_and_returns() -> None:
    async def name() -> str:
        return threading.current_thread().name

    with ServiceLoop() as loop:
        assert loop.submit(name()).result() == "service"


def test_an_error_reaches_who_submitted() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with ServiceLoop() as loop, pytest.raises(ValueError, match="no"):
        loop.submit(fail()).result()


def test_leaving_cancels_what_runs_and_waits_for_its_end() -> None:
    threads_before = set(threading.enumerate())
    ended: list[str] = []
    started = threading.Event()

    async def clean_up() -> None:
        await asyncio.sleep(0)
        ended.append("clean-up begun while ending")

    async def run() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("run")
            asyncio.get_running_loop().create_task(clean_up())

    with ServiceLoop() as loop:
        future = loop.submit(run())
        started.wait(5)
    assert ended[0] == "run"
    assert set(threading.enumerate()) <= threads_before
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()


def test_leaving_closes_generators_nobody_reads_any_more() -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            closed.append(True)

    generator = numbers()

    async def read_one() -> int:
        return await anext(generator)

    with ServiceLoop() as loop:
        assert loop.submit(read_one()).result() == 1
    assert closed == [True]


def test_submitting_after_the_end_is_an_error_not_a_silence() -> None:
    with ServiceLoop() as loop:
        pass

    async def late() -> None:
        raise AssertionError("must not run")

    with pytest.raises(RuntimeError):
        loop.submit(late())
