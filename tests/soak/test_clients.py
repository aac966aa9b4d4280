"""Clients that come, leave in the middle of an answer and come again: through a worker process, and through HTTP."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.engine.client import EngineClient
from app.engine.process import ProcessLauncher
from app.engine.protocol import Done, EngineConfig, GenerateJob, Tokens
from app.server.host import ApiServer
from app.service.activity import Activity
from app.service.api_keys import ApiKeys
from app.service.chat import ChatService
from app.service.embeddings import EmbeddingService
from app.service.models import ModelManager
from app.service.refusals import Refusals
from app.settings import SettingsStore
from tests.fakes import FakeLibrary, installed_model
from tests.server.serving import chunks
from tests.soak.mix import chats

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

EFFORT = int(os.environ.get("HEARTH_SOAK", "1"))
SEED = int(os.environ.get("HEARTH_SEED", "1"))
AT_ONCE = 8
QUESTIONS = ("Hello", "Who are you?", "What is 3 plus 4?", "Tell me a story.", "What is the capital of France?")
WARM_UP, N_JOBS, N_REQUESTS = 60, 160, 60


async def _in_turn(n: int, ask: Callable[[int], Any]) -> None:
    """Call `ask` for 0 … n-1, eight at a time."""
    numbers = iter(range(n))

    async def client() -> None:
        for number in numbers:
            await ask(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(client())


async def _answer(client: EngineClient, job: GenerateJob, *, leave_after: int | None = None) -> list[int]:
    ids: list[int] = []
    async with aclosing(client.generate(job)) as outputs:
        async for output in outputs:
            match output:
                case Tokens():
                    ids += [piece.token_id for piece in output.pieces]
                case Done():
                    return ids
            if leave_after is not None and len(ids) >= leave_after:
                return ids
    raise AssertionError("an answer without an end")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
async def test_a_worker_whose_clients_leave_keeps_no_thread_no_file_and_no_work(
    ember_path: Path, ember_projector_path: Path
) -> None:
    rng = random.Random(SEED)
    pictures = [file.read_bytes() for file in sorted((ember_path.parents[1] / "examples").glob("*.png"))]
    requests = [one for one in chats(rng, pictures, (WARM_UP + N_JOBS) * EFFORT) if not one.oversized]
    leaving = [rng.choice([None, None, 0, 1, 5, 20]) for _ in requests]
    config = EngineConfig(ember_path, ember_projector_path, n_ctx=1024, n_parallel=6, cache_memory_bytes=4 * 2**20)
    client = await ProcessLauncher().launch(config, on_progress=lambda _fraction: None)

    async def ask(number: int) -> None:
        job = replace(requests[number].job, id=f"r{number}")
        await _answer(client, job, leave_after=leaving[number])

    async def rest() -> None:
        """After its last answer an engine says that nothing runs or waits; what clients left before it has been dropped."""
        await _answer(client, replace(requests[0].job, id=f"last{len(leaving)}"))
        leaving.append(None)
        assert (client.stats.active, client.stats.waiting) == (0, 0)

    await _in_turn(WARM_UP, ask)
    await rest()
    before = _held(os.getpid()), _held(client.pid)
    await _in_turn(len(requests) - WARM_UP, lambda number: ask(WARM_UP + number))
    await rest()
    assert (_held(os.getpid()), _held(client.pid)) == before
    await client.close()


@pytest.fixture
async def server(
    ember_path: Path, ember_projector_path: Path, tmp_path: Path
) -> AsyncGenerator[tuple[httpx2.AsyncClient, ModelManager], None]:
    store = SettingsStore(tmp_path / "settings.json", overrides={"port": 0, "n_ctx": 1024, "n_parallel": 4})
    library = FakeLibrary(installed_model("ember", path=ember_path, projector=ember_projector_path))
    models = ModelManager(library, ProcessLauncher(), store)
    server = ApiServer(
        chat=ChatService(models),
        embeddings=EmbeddingService(models),
        models=models,
        library=library,
        activity=Activity(),
        settings=store,
        keys=ApiKeys(tmp_path / "api-keys"),
        refusals=Refusals(),
    )
    await server.start()
    base = (server.state.address or "").removesuffix("/v1")
    try:
        async with httpx2.AsyncClient(base_url=base, timeout=60) as http:
            yield http, models
    finally:
        await server.stop()
        await models.close()


async def test_clients_that_leave_the_api_harm_no_other(server: tuple[httpx2.AsyncClient, ModelManager]) -> None:
    http, models = server
    rng = random.Random(SEED)

    def body(question: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": question}]
        return {"model": "ember", "temperature": 0, "max_tokens": 60, "stream": True, "messages": messages}

    async def whole(question: str) -> str:
        response = await http.post("/v1/chat/completions", json=body(question))
        assert response.status_code == 200, response.text
        parts = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks(response.text) if chunk != "[DONE]"]
        return "".join(parts)

    alone = {question: await whole(question) for question in QUESTIONS}
    assert all(alone.values())
    plan = [(rng.choice(QUESTIONS), rng.choice([None, None, 0, 1, 3, 10])) for _ in range(N_REQUESTS * EFFORT)]
    answered = 0

    async def ask(number: int) -> None:
        nonlocal answered
        question, leave_after = plan[number]
        if leave_after is None:
            assert await whole(question) == alone[question]
            answered += 1
            return
        async with http.stream("POST", "/v1/chat/completions", json=body(question)) as response:
            lines = 0
            async for _line in response.aiter_lines():
                lines += 1
                if lines > leave_after:
                    break

    await _in_turn(len(plan), ask)
    assert answered == sum(leave_after is None for _, leave_after in plan)
    assert await whole("Hello") == alone["Hello"]
    rests = asyncio.Event()
    models.changed.subscribe(lambda model: None if model.active_requests else rests.set())
    if models.state("ember").active_requests:
        await asyncio.wait_for(rests.wait(), 20)


def _held(pid: int | None) -> tuple[int, int]:
    """Threads and open files of a process."""
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))
