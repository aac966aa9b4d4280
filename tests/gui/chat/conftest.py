"""A chat page on a real service loop and a real store, with a model whose answers are scripted."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from PySide6.QtCore import QBuffer, QCoreApplication, QEvent, QIODevice
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.domain.errors import AppError
from app.domain.generation import ChatRequest, Finished, FinishReason, GenerationEvent, TextDelta, Timings, Usage
from app.domain.models import Capability, ModelSource
from app.gui.bridge import Bridge
from app.gui.theme import apply_theme
from app.service.chat import ChatService
from app.service.conversations import ConversationService
from app.service.loop import ServiceLoop
from app.service.services import Services
from tests.gui.stand_ins import a_model, stand_in_services

T = TypeVar("T")

FINISHED = Finished(FinishReason.STOP, Usage(10, 20), Timings(0.0, 0.1, 0.5))

EMBER = a_model(
    "ember", source=ModelSource.BUILT_IN, size_bytes=12_800_000, capabilities=frozenset({Capability.CHAT, Capability.VISION})
)
BLIND = a_model("blind-7b", capabilities=frozenset({Capability.CHAT, Capability.REASONING}))
BROKEN = a_model("broken", problem="The file is cut off.")


class ScriptedChat(ChatService):
    """Each answer is the next of `answers` (the last one repeats): texts, events, or an error to raise.

    A None in an answer waits there until `proceed` is called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answers: list[tuple[str | GenerationEvent | AppError | None, ...]] = [("Hello ", "you.")]
        self.requests: list[ChatRequest] = []
        self._loop = loop
        self._gate = asyncio.Event()

    def proceed(self) -> None:
        self._loop.call_soon_threadsafe(self._gate.set)

    async def forget(self, cache_key: str) -> None:
        pass

    async def generate(self, request: ChatRequest) -> AsyncGenerator[GenerationEvent, None]:
        self.requests.append(request)
        for part in self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]:
            match part:
                case None:
                    await self._gate.wait()
                case str():
                    yield TextDelta(part)
                case AppError():
                    raise part
                case _:
                    yield part
        yield FINISHED


@dataclasses.dataclass(frozen=True)
class Bench:
    """What a test of the chat holds on to."""

    services: Services
    bridge: Bridge
    loop: ServiceLoop
    chat: ScriptedChat

    def run(self, coroutine: Any) -> Any:
        """Run something on the service loop and wait for it."""
        return self.loop.submit(coroutine).result()

    def on_loop(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return cast(T, self.run(call()))


@pytest.fixture(autouse=True)
def themed(qapp: QApplication) -> None:
    apply_theme(qapp, "light")


@pytest.fixture
def service_loop() -> Iterator[ServiceLoop]:
    with ServiceLoop() as loop:
        yield loop


@pytest.fixture
def bench(qtbot: QtBot, service_loop: ServiceLoop, profile: Path) -> Iterator[Bench]:
    chat = ScriptedChat(service_loop.loop)
    basis = stand_in_services(profile, EMBER, BLIND, BROKEN)

    async def make() -> ConversationService:
        return ConversationService(basis.paths.chats_file, chat)

    conversations = service_loop.submit(make()).result()
    services = dataclasses.replace(basis, chat=chat, conversations=conversations)
    bridge = Bridge(service_loop)
    yield Bench(services, bridge, service_loop, chat)
    bridge.close()
    # Deleted on this thread: Python would do it on whatever thread collects garbage.
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    service_loop.submit(conversations.close()).result()


@pytest.fixture
def png() -> Callable[..., bytes]:
    """Makes a PNG of one colour."""

    def make(width: int = 40, height: int = 30, colour: str = "red") -> bytes:
        image = QImage(width, height, QImage.Format.Format_RGB32)
        image.fill(QColor(colour))
        buffer = QBuffer()
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        image.save(buffer, "PNG")
        return bytes(buffer.data().data())

    return make
