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
from pathlib import Path
from typing import Any, cast

from app.domain.generation import ChatRequest, Finished, FinishReason, GenerationEvent, TextDelta, Timings, Usage
from app.server.host import ApiServer
from app.service.activity import Activity
from app.service.chat import ChatService
from app.service.embeddings import EmbeddingService
from app.service.models import ModelManager
from app.settings import SettingsStore
from tests.fakes import FakeLauncher, FakeLibrary, installed_model

_TOKENS = 3000
_ROUNDS = 7
_FIRST_TOKENS = 60
_BODY = {"model": "ember", "messages": [{"role": "user", "content": "Hello"}], "stream": True}


class _Script(ChatService):
    """Says its words one by one; each waits for the loop, as a model's do."""

    async def generate(self, request: ChatRequest) -> AsyncGenerator[GenerationEvent, None]:
        for number in range(request.max_tokens or 1):
            await asyncio.sleep(0)
            yield TextDelta(f" word{number}")
        yield Finished(FinishReason.STOP, Usage(5, request.max_tokens or 1), Timings(0.0, 0.01, 1.0))


async def _source_s(script: _Script) -> float:
    """Processor time per token that the script itself takes."""
    request = ChatRequest("ember", (), max_tokens=_TOKENS)
    started = time.thread_time()
    async for _ in script.generate(request):
        pass
    return (time.thread_time() - started) / _TOKENS


async def _measure(folder: Path) -> None:
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
    )
    await server.start()
    address = server.state.address or ""
    port = int(address.rsplit(":", 1)[1].partition("/")[0])
    try:
        first = json.loads(await _client(port, "first"))
        costs = []
        for _ in range(_ROUNDS):
            base = await _source_s(script)
            started = time.thread_time()
            got = int(await _client(port, "stream"))
            assert got == _TOKENS
            costs.append((time.thread_time() - started) / _TOKENS - base)
    finally:
        await server.stop()
    print(f"first token: {1000 * statistics.median(first):.2f} ms, {1000 * max(first):.2f} ms at worst")
    print(f"per token: {1e6 * statistics.median(costs):.1f} µs of processor time, {1e6 * max(costs):.1f} µs at worst")


async def _client(port: int, what: str) -> bytes:
    command = (sys.executable, "-m", "tests.benchmarks.bench_http", what, str(port))
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


def _stream(port: int) -> None:
    text = b""
    with _ask(port, _TOKENS) as connection:
        while part := connection.recv(1 << 16):
            text += part
    print(text.count(b'"content":" word'))


def _first(port: int) -> None:
    times = []
    for _ in range(_FIRST_TOKENS):
        started = time.perf_counter()
        text = b""
        with _ask(port, 2) as connection:
            while b" word0" not in text:
                text += connection.recv(1 << 16)
            times.append(time.perf_counter() - started)
    print(json.dumps(times[5:]))


def main() -> None:
    match sys.argv[1:]:
        case ["stream", port]:
            _stream(int(port))
        case ["first", port]:
            _first(int(port))
        case _:
            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(_measure(Path(folder)))


if __name__ == "__main__":
    main()
