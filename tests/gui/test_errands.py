from __future__ import annotations

import asyncio
from typing import Any

from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.domain.errors import HubUnreachable
from app.gui.bridge import Bridge
from app.gui.errands import Errands


async def _answer(text: str) -> str:
    return text


async def _wait(held: asyncio.Event) -> str:
    await held.wait()
    return "late"


async def _fail() -> None:
    raise HubUnreachable("It can't be reached.")


def test_answers_and_failures_come(qtbot: QtBot, bridge: Bridge) -> None:
    context = QObject(bridge)
    errands = Errands(bridge, context)
    told: list[Any] = []
    errands.start(_answer("here"), told.append)
    errands.start(_fail(), told.append, lambda error: told.append(str(error)))
    qtbot.waitUntil(lambda: sorted(told) == ["It can't be reached.", "here"])


def test_what_was_asked_before_counts_no_more(qtbot: QtBot, bridge: Bridge) -> None:
    errands = Errands(bridge, QObject(bridge))
    told: list[Any] = []
    errands.start(_wait(asyncio.Event()), told.append, told.append)
    errands.start(_answer("before"), told.append)
    errands.drop()
    errands.start(_answer("after"), told.append)
    qtbot.waitUntil(lambda: "after" in told)
    assert told == ["after"]
