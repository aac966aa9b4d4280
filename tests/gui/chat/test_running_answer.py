from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import pytest
from pytestqt.qtbot import QtBot

from app.domain.errors import EngineCrashed
from app.domain.generation import GenerationEvent, PrefillProgress, TextDelta
from app.gui.chat.running_answer import RunningAnswer
from tests.gui.chat.conftest import FINISHED, Bench


async def answer(*parts: GenerationEvent | Exception) -> AsyncGenerator[GenerationEvent, None]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


@pytest.fixture
def running(bench: Bench) -> Iterator[list[RunningAnswer]]:
    made: list[RunningAnswer] = []
    yield made
    for each in made:
        each.deleteLater()


def begin(bench: Bench, made: list[RunningAnswer], *parts: GenerationEvent | Exception) -> RunningAnswer:
    made.append(RunningAnswer(bench.bridge.reply(answer(*parts)), "talk", "ember"))
    return made[-1]


def test_a_view_made_later_can_catch_up_and_is_told_only_the_latest_progress(
    bench: Bench, running: list[RunningAnswer], qtbot: QtBot
) -> None:
    one = begin(bench, running, PrefillProgress(1, 4, 0), PrefillProgress(4, 4, 0), TextDelta("Hello"), FINISHED)
    with qtbot.waitSignal(one.done):
        one.start()
    assert one.events == (TextDelta("Hello"), FINISHED)
    assert one.error is None


def test_what_arrived_before_a_failure_stays(bench: Bench, running: list[RunningAnswer], qtbot: QtBot) -> None:
    crash = EngineCrashed(exit_code=-9)
    one = begin(bench, running, TextDelta("Half an "), crash)
    with qtbot.waitSignals([one.failed, one.done]):
        one.start()
    assert one.events == (TextDelta("Half an "),)
    assert one.error is crash
