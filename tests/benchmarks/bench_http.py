"""What the HTTP layer costs: time until the first token, and processor time per streamed token. By hand:

    python -m tests.benchmarks.bench_http

The answers are scripted, so that all that is measured lies between the chat service and the socket; the client is a process of
its own.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from app.domain.generation import ChatRequest, Finished, FinishReason, GenerationEvent, TextDelta, Timings, Usage
from app.server.host import ApiServer
from app.service.activity import Activity
from app.service.api_keys import ApiKeys
from app.service.chat import ChatService
from app.service.embeddings import EmbeddingService
from app.service.models import ModelManager
from app.service.refusals import Refusals
from app.settings import SettingsStore
from tests.fakes import FakeLauncher, FakeLibrary, installed_model

_WARM_UP = 5
_BODY = {"model": "ember", "messages": [{"role": "user", "content": "Hello"}], "stream": True}


class _Script(ChatService):
    """Says its words one by one; each waits for the loop, as a model's do."""

    async def generate(self, request: ChatRequest) -> AsyncGenerator[GenerationEvent, None]:
        for number in range(request.max_tokens or 1):
            await asyncio.sleep(0)
            yield TextDelta(f" word{number}")
        yield Finished(FinishReason.STOP, Usage(5, request.max_tokens or 1), Timings(0.0, 0.01, 1.0))


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds: until the first token, of each request; and of processor time per token, of each stream."""

    first_s: tuple[float, ...]
    token_s: tuple[float, ...]


async def measured(folder: Path, *, n_tokens: int, n_streams: int, n_first: int) -> Costs:
    store = SettingsStore(folder / "settings.json", overrides={"port": 0})
    library = FakeLibrary(installed_model())
    models = ModelManager(library, FakeLauncher(), store)
    script = _Script(models)
    server = ApiServer(
        chat=script,
        embeddings=EmbeddingService(models),
        models=models,
        library=cast(Any, library),
        activity=Activity(),
        settings=store,
        keys=ApiKeys(folder / "api-keys"),
        refusals=Refusals(),
    )
    await server.start()
    port = (server.state.address or "").rpartition(":")[2].removesuffix("/v1")
    try:
        first = json.loads(await _client("first", port, n_first))
        return Costs(tuple(first), tuple([await _stream_cost(script, port, n_tokens) for _ in range(n_streams)]))
    finally:
        await server.stop()


async def _stream_cost(script: _Script, port: str, n_tokens: int) -> float:
    """What a token takes beyond what the script itself takes."""
    alone = time.thread_time()
    async for _ in script.generate(ChatRequest("ember", (), max_tokens=n_tokens)):
        pass
    started = time.thread_time()
    got = int(await _client("stream", port, n_tokens))
    assert got == n_tokens
    return (time.thread_time() - started - (started - alone)) / n_tokens


async def _client(what: str, port: str, count: int) -> bytes:
    command = (sys.executable, "-m", "tests.benchmarks.bench_http", what, port, str(count))
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    told, _ = await process.communicate()
    return told


def _ask(port: int, n_tokens: int) -> socket.socket:
    body = json.dumps({**_BODY, "max_tokens": n_tokens}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(head.encode() + body)
    return connection


def _stream(port: int, n_tokens: int) -> int:
    text = b""
    with _ask(port, n_tokens) as connection:
        while part := connection.recv(1 << 16):
            text += part
    return text.count(b'"content":" word')


def _first(port: int, count: int) -> list[float]:
    times = []
    for _ in range(_WARM_UP + count):
        started = time.perf_counter()
        text = b""
        with _ask(port, 2) as connection:
            while b" word0" not in text:
                text += connection.recv(1 << 16)
            times.append(time.perf_counter() - started)
    return times[_WARM_UP:]


def main() -> None:
    match sys.argv[1:]:
        case ["stream", port, count]:
            print(_stream(int(port), int(count)))
        case ["first", port, count]:
            print(json.dumps(_first(int(port), int(count))))
        case _:
            with tempfile.TemporaryDirectory() as folder:
                costs = asyncio.run(measured(Path(folder), n_tokens=3000, n_streams=7, n_first=60))
            print(f"first token: {1e3 * statistics.median(costs.first_s):.2f} ms, {1e3 * max(costs.first_s):.2f} ms at worst")
            token_s, worst_s = statistics.median(costs.token_s), max(costs.token_s)
            print(f"per token: {1e6 * token_s:.1f} µs of processor time, {1e6 * worst_s:.1f} µs at worst")


if __name__ == "__main__":
    main()
