"""A service loop of its own, a bridge, and stand-in services for each test of the window."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QObject
from PySide6.QtWidgets import QApplication

from app.gui.bridge import Bridge
from app.gui.theme import apply_theme
from app.service.conversations import ConversationService
from app.service.loop import ServiceLoop
from app.service.services import Services
from tests.gui.stand_ins import StandInDesktop, a_model, stand_in_services

T = TypeVar("T")


@pytest.fixture
def service() -> Iterator[ServiceLoop]:
    with ServiceLoop() as loop:
        yield loop


@pytest.fixture
def on_loop(service: ServiceLoop) -> Callable[[Callable[[], T]], T]:
    """Do something on the service loop, as the services themselves would."""

    def call(function: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return function()

        return service.submit(run()).result()

    return call


@pytest.fixture
def bridge(qapp: QApplication, service: ServiceLoop, services: Services) -> Iterator[Bridge]:
    apply_theme(qapp, "light")
    made = Bridge(service)
    yield made
    made.close()
    delete_now(made)


def delete_now(*objects: QObject) -> None:
    """Delete on this thread: Python would do it on whatever thread collects garbage."""
    for one in objects:
        one.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


@pytest.fixture
def services(profile: Path, service: ServiceLoop) -> Iterator[Services]:
    """Stand-ins, with a real store of conversations."""
    made = stand_in_services(profile, a_model("ember"), a_model("second-model"))
    conversations = ConversationService(made.paths.chats_file, made.chat)
    yield dataclasses.replace(made, conversations=conversations)
    service.submit(conversations.close()).result()


@pytest.fixture
def desktop() -> StandInDesktop:
    return StandInDesktop()
