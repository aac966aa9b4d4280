from __future__ import annotations

import gc
import threading
import weakref

import pytest
from pytestqt.qtbot import QtBot

from app.gui.garbage import GarbageCollector


class Cycle:
    """Only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


def forgotten_cycle() -> weakref.ref[Cycle]:
    return weakref.ref(Cycle())


def allocate_much() -> None:
    """What makes Python collect on the thread it happens on."""
    for _ in range(200):
        [[] for _ in range(1000)]


@pytest.mark.usefixtures("qapp")
def test_other_threads_do_not_collect() -> None:
    gc.enable()
    collector = GarbageCollector()
    lost = forgotten_cycle()
    other = threading.Thread(target=allocate_much)
    other.start()
    other.join()
    assert lost() is not None
    collector.close()
    assert lost() is None
    assert gc.isenabled()
    gc.disable()


def test_the_qt_thread_collects_by_itself(qtbot: QtBot) -> None:
    collector = GarbageCollector()
    lost = forgotten_cycle()
    kept = [[] for _ in range(5000)]
    qtbot.waitUntil(lambda: lost() is None)
    collector.close()
    assert kept
