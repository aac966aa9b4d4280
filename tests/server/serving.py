"""A real `ApiServer` on a free port, over scripted engines: what every test of the API starts with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from app.domain.models import Capability, InstalledModel
from app.server.host import ApiServer
from app.service.activity import Activity
from app.service.api_keys import ApiKeys
from app.service.chat import ChatService
from app.service.embeddings import EmbeddingService
from app.service.models import ModelManager
from app.service.pictures import PictureFetcher
from app.service.refusals import Refusals
from app.settings import SettingsStore
from tests.fakes import Answer, FakeChatFormat, FakeEngineClient, FakeLauncher, FakeLibrary, installed_model

HELLO = {"model": "ember", "messages": [{"role": "user", "content": "Hello"}]}


@dataclass(frozen=True)
class Serving:
    """A running server and what lies below it. `http` speaks to it."""

    server: ApiServer
    http: httpx2.AsyncClient
    launcher: FakeLauncher
    models: ModelManager
    activity: Activity
    settings: SettingsStore
    keys: ApiKeys
    refusals: Refusals

    @property
    def port(self) -> int:
        return httpx2.URL(self.server.state.address or "").port or 0

    @property
    def engine(self) -> FakeEngineClient:
        return self.launcher.client

    async def chat(self, **changes: Any) -> httpx2.Response:
        return await self.http.post("/v1/chat/completions", json={**HELLO, **changes})

    async def stream(self, path: str = "/v1/chat/completions", **changes: Any) -> list[Any]:
        """The `data:` lines of a streamed answer, parsed; `[DONE]` stays a string."""
        response = await self.http.post(path, json={**HELLO, "stream": True, **changes})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        return chunks(response.text)


def chunks(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def embedder(name: str = "all-minilm") -> InstalledModel:
    return installed_model(name, capabilities=frozenset({Capability.EMBEDDING}))


def ranker(name: str = "ranker") -> InstalledModel:
    return installed_model(name, capabilities=frozenset({Capability.RERANK}))


@asynccontextmanager
async def serving(
    folder: Path,
    *answers: Answer,
    models: tuple[InstalledModel, ...] = (installed_model(), embedder(), ranker()),
    launcher: FakeLauncher | None = None,
    pictures: PictureFetcher | None = None,
    aliases: Mapping[str, str] | None = None,
    fallback: str = "",
    **settings: Any,
) -> AsyncGenerator[Serving, None]:
    """`settings` are overrides; the port is free unless they name one."""
    store = SettingsStore(folder / "settings.json", overrides={"port": 0, **settings})
    library = FakeLibrary(*models, aliases=aliases, fallback=fallback)
    launcher = launcher or FakeLauncher(*answers)
    manager = ModelManager(library, launcher, store, make_format=lambda _: FakeChatFormat())
    activity, keys, refusals = Activity(), ApiKeys(folder / "api-keys"), Refusals()
    server = ApiServer(
        chat=ChatService(manager, pictures or PictureFetcher(lambda: store.current.fetch_images)),
        embeddings=EmbeddingService(manager),
        models=manager,
        library=library,
        activity=activity,
        settings=store,
        keys=keys,
        refusals=refusals,
    )
    await server.start()
    base = (server.state.address or "").removesuffix("/v1")
    try:
        async with httpx2.AsyncClient(base_url=base, timeout=20) as http:
            yield Serving(server, http, launcher, manager, activity, store, keys, refusals)
    finally:
        await server.stop()
        await manager.close()


class Gate(asyncio.Event):
    """Holds scripted answers and loads back, and tells who waits at it."""

    def __init__(self) -> None:
        super().__init__()
        self.left = asyncio.Event()
        self._arrivals = asyncio.Semaphore(0)

    async def reached(self, times: int = 1) -> None:
        """Return once so many have come to wait."""
        for _ in range(times):
            await self._arrivals.acquire()

    async def wait(self) -> bool:
        self._arrivals.release()
        try:
            return await super().wait()
        except asyncio.CancelledError:
            self.left.set()
            raise


class RawClient:
    """One connection, spoken by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> RawClient:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, text: str) -> None:
        await self.send_bytes(text.encode())

    async def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def post(self, path: str, body: dict[str, Any]) -> None:
        payload = json.dumps(body)
        await self.send(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n{payload}"
        )

    async def until(self, text: str) -> str:
        return (await self.reader.readuntil(text.encode())).decode()

    async def rest(self) -> str:
        return (await self.reader.read()).decode()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()
