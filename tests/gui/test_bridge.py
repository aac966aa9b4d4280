from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

import pytest
from PySide6.QtCore import QObject, QThread
from pytestqt.qtbot import QtBot

from app.domain.errors import EngineBusy, StoreError
from app.domain.generation import (
    Finished,
    FinishReason,
    GenerationEvent,
    PrefillProgress,
    ReasoningDelta,
    TextDelta,
    Timings,
    Usage,
)
from app.domain.observable import Observable
from app.gui.bridge import Bridge, Reply, Task
from app.service.loop import ServiceLoop

FINISHED = Finished(FinishReason.STOP, Usage(1, 1), Timings(0, 0, 0))


@pytest.fixture
def loop() -> Iterator[ServiceLoop]:
    with ServiceLoop() as made:
        yield made


@pytest.fixture
def bridge(qtbot: QtBot, loop: ServiceLoop) -> Iterator[Bridge]:
    made = Bridge(loop)
    yield made
    made.close()


async def value(what: object) -> object:
    return what


async def failing(error: Exception) -> None:
    raise error


async def forever(ended: asyncio.Event | None = None) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        if ended is not None:
            ended.set()


def listen(task: Task) -> list[tuple[str, object]]:
    heard: list[tuple[str, object]] = []
    task.succeeded.connect(lambda result: heard.append(("succeeded", result)))
    task.failed.connect(lambda error: heard.append(("failed", error)))
    task.cancelled.connect(lambda: heard.append(("cancelled", None)))
    return heard


def collect(reply: Reply) -> list[object]:
    heard: list[object] = []
    reply.arrived.connect(heard.append)
    reply.failed.connect(heard.append)
    return heard


def test_a_result_arrives_on_the_qt_thread(bridge: Bridge, qtbot: QtBot) -> None:
    task = bridge.submit(value(7))
    threads: list[QThread] = []
    task.succeeded.connect(lambda _: threads.append(QThread.currentThread()))
    with qtbot.waitSignal(task.succeeded) as succeeded:
        task.start()
    assert succeeded.args == [7]
    assert threads == [bridge.thread()]


@pytest.mark.parametrize("error", [StoreError("full"), ValueError("a bug")])
def test_an_error_arrives_as_it_was_raised(bridge: Bridge, qtbot: QtBot, error: Exception) -> None:
    task = bridge.submit(failing(error))
    heard = listen(task)
    with qtbot.waitSignal(task.failed):
        task.start()
    assert heard == [("failed", error)]


def test_a_cancelled_task_says_so_even_if_it_had_not_begun(bridge: Bridge, qtbot: QtBot) -> None:
    task = bridge.submit(forever())
    heard = listen(task)
    with qtbot.waitSignal(task.cancelled):
        task.start()
        task.cancel()
    assert heard == [("cancelled", None)]


def test_nobody_is_told_once_the_one_who_asked_is_gone(bridge: Bridge, qtbot: QtBot) -> None:
    asker = QObject()
    gate = asyncio.Event()
    task = bridge.submit(gate.wait(), asker)
    heard = listen(task)
    task.start()
    asker.deleteLater()
    with qtbot.waitSignal(asker.destroyed):
        pass
    after = bridge.call(gate.set)
    with qtbot.waitSignal(after.succeeded):
        after.start()
    last = bridge.submit(value(None))
    with qtbot.waitSignal(last.succeeded):
        last.start()
    assert heard == []


async def script(*events: GenerationEvent | Exception | asyncio.Event) -> AsyncGenerator[GenerationEvent, None]:
    for event in events:
        match event:
            case Exception():
                raise event
            case asyncio.Event():
                await event.wait()
            case _:
                yield event


def test_text_is_joined_and_the_order_of_everything_kept(bridge: Bridge, qtbot: QtBot) -> None:
    progress = PrefillProgress(1, 2, 0)
    events = (progress, ReasoningDelta("a"), ReasoningDelta("b"), TextDelta("c"), TextDelta("d"), TextDelta("e"), FINISHED)
    reply = bridge.reply(script(*events))
    heard = collect(reply)
    with qtbot.waitSignal(reply.done):
        reply.start()
    assert heard == [progress, ReasoningDelta("ab"), TextDelta("cde"), FINISHED]


def test_text_is_shown_while_the_model_pauses(bridge: Bridge, qtbot: QtBot) -> None:
    gate = asyncio.Event()
    reply = bridge.reply(script(TextDelta("first"), gate, TextDelta("second")))
    heard = collect(reply)
    with qtbot.waitSignal(reply.arrived):
        reply.start()
    assert heard == [TextDelta("first")]
    with qtbot.waitSignal(reply.done):
        bridge.call(gate.set).start()
    assert heard[-1] == TextDelta("second")


def test_a_failure_comes_after_the_text_before_it(bridge: Bridge, qtbot: QtBot) -> None:
    error = EngineBusy()
    reply = bridge.reply(script(TextDelta("half"), error))
    heard = collect(reply)
    with qtbot.waitSignal(reply.done):
        reply.start()
    assert heard == [TextDelta("half"), error]


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "after a word"])
def test_a_cancelled_answer_closes_its_generator_and_is_done(bridge: Bridge, qtbot: QtBot, at_once: bool) -> None:
    closed: list[bool] = []

    async def endless() -> AsyncGenerator[GenerationEvent, None]:
        try:
            yield TextDelta("word")
            await forever()
        finally:
            closed.append(True)

    reply = bridge.reply(endless())
    if not at_once:
        with qtbot.waitSignal(reply.arrived):
            reply.start()
    with qtbot.waitSignal(reply.done):
        if at_once:
            reply.start()
        reply.cancel()
    assert closed == [True]


def test_watching_ends_with_the_bridge(qtbot: QtBot, loop: ServiceLoop) -> None:
    bridge = Bridge(loop)
    observable: Observable[int] = Observable()
    heard: list[int] = []
    bridge.watch(observable, heard.append)
    told = bridge.call(lambda: observable.notify(1))
    with qtbot.waitSignal(told.succeeded):
        told.start()
    qtbot.waitUntil(lambda: heard == [1])
    bridge.close()
    loop.submit(value(observable.notify(2))).result()
    assert heard == [1]


def test_closing_ends_what_runs_without_a_word(qtbot: QtBot, loop: ServiceLoop) -> None:
    bridge = Bridge(loop)
    ended = asyncio.Event()
    task = bridge.submit(forever(ended))
    heard = listen(task)
    task.start()
    bridge.close()
    assert ended.is_set()
    qtbot.waitUntil(lambda: heard == [])


def test_tasks_that_are_cancelled_at_once_all_begin_and_tell_of_their_end(qtbot: QtBot, bridge: Bridge) -> None:
    began: list[int] = []
    ended: list[int] = []

    async def wait(number: int) -> None:
        began.append(number)
        await asyncio.Event().wait()

    for number in range(300):
        task = bridge.submit(wait(number))
        task.cancelled.connect(lambda number=number: ended.append(number))
        task.start()
        task.cancel()
    qtbot.waitUntil(lambda: len(ended) == 300, timeout=20_000)
    assert len(began) == 300
