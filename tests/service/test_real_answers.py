"""The services over the built-in model in real workers: crash, recovery, unloading, pictures."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.domain.errors import EngineCrashed, InvalidRequest
from app.domain.generation import (
    ChatRequest,
    CompletionRequest,
    Finished,
    GenerationEvent,
    JsonSchemaFormat,
    PrefillProgress,
    SamplingChoice,
    TextDelta,
)
from app.domain.messages import AudioPart, ImagePart, Message, Role, TextPart
from app.domain.models import ModelState
from app.engine.process import ProcessLauncher
from app.service.chat import ChatService
from app.service.models import ModelManager
from app.settings import SettingsStore
from tests.engine.tiny_models import write_qwen2vl
from tests.engine.tiny_projectors import write_omni_projector
from tests.engine.tiny_sounds import wav
from tests.fakes import FakeLibrary, installed_model

pytestmark = pytest.mark.anyio

GREEDY = SamplingChoice(temperature=0.0)


class Bench:
    """The chat service over real workers."""

    def __init__(self, models: ModelManager) -> None:
        self.models = models
        self.chat = ChatService(models)

    async def ask(self, text: str, *images: bytes, **options: object) -> list[GenerationEvent]:
        parts = (*(ImagePart(image) for image in images), TextPart(text))
        options = {"sampling": GREEDY, "max_tokens": 40, **options}
        request = ChatRequest("ember", (Message(Role.USER, parts),), **options)
        return [event async for event in self.chat.generate(request)]

    @property
    def pid(self) -> int:
        pid = self.models.state("ember").pid
        assert pid is not None
        return pid


@pytest.fixture
async def bench(ember_path: Path, ember_projector_path: Path, tmp_path: Path) -> AsyncGenerator[Bench, None]:
    library = FakeLibrary(installed_model("ember", path=ember_path, projector=ember_projector_path))
    models = ModelManager(
        library,
        ProcessLauncher(),
        SettingsStore(tmp_path / "settings.json", overrides={"n_ctx": 2048, "n_threads": 1}),
        cache_folder=tmp_path / "prompts",
    )
    yield Bench(models)
    await models.close()


def text_of(events: list[GenerationEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def end_of(events: list[GenerationEvent]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


async def test_a_killed_worker_fails_the_answer_and_the_next_one_works(bench: Bench) -> None:
    before = text_of(await bench.ask("Hello"))
    first_pid = bench.pid
    killed = bench.chat.complete(CompletionRequest("ember", "Once upon a time", max_tokens=1500))
    async for event in killed:
        if isinstance(event, TextDelta):
            break
    os.kill(first_pid, signal.SIGKILL)
    with pytest.raises(EngineCrashed):
        async for _ in killed:
            pass
    assert before == text_of(await bench.ask("Hello"))
    assert before
    assert bench.pid != first_pid


async def test_answers_at_the_same_time_and_a_prefix_that_is_reused(bench: Bench) -> None:
    first, second = await asyncio.gather(bench.ask("Hello"), bench.ask("Who are you?"))
    assert text_of(first)
    assert text_of(second)
    again = await bench.ask("Hello")
    assert text_of(again) == text_of(first)
    assert end_of(again).usage.cached_tokens > 0
    assert any(isinstance(event, PrefillProgress) and event.reused > 0 for event in again)


async def test_unloading_ends_the_process(bench: Bench) -> None:
    await bench.models.load("ember")
    pid = bench.pid
    await bench.models.unload("ember")
    assert bench.models.state("ember").state is ModelState.UNLOADED
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_json_that_fits_its_schema(bench: Bench) -> None:
    schema = '{"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": false}'
    text = text_of(await bench.ask("Is water wet?", output=JsonSchemaFormat(schema)))
    assert text.replace(" ", "").replace("\n", "") in ('{"ok":true}', '{"ok":false}')


async def test_a_picture_counts_its_tokens(bench: Bench, ember_path: Path) -> None:
    picture = (ember_path.parents[1] / "examples" / "red-circle.png").read_bytes()
    with_picture = end_of(await bench.ask("What is in this picture?", picture)).usage.prompt_tokens
    without = end_of(await bench.ask("What is in this picture?")).usage.prompt_tokens
    assert with_picture > without + 16


async def test_a_sound_is_heard_by_a_model_that_can(ember_path: Path, tmp_path: Path) -> None:
    model = write_qwen2vl(tmp_path / "omni.gguf", ember_path)
    projector = write_omni_projector(tmp_path / "mmproj-omni.gguf")
    library = FakeLibrary(installed_model("omni", path=model, projector=projector))
    settings = SettingsStore(tmp_path / "settings.json", overrides={"n_ctx": 2048, "n_threads": 1})
    models = ModelManager(library, ProcessLauncher(), settings)
    turn = Message(Role.USER, (AudioPart(wav(1)), TextPart("What was it?")))
    request = ChatRequest("omni", (turn,), sampling=GREEDY, max_tokens=4)
    try:
        end = end_of([event async for event in ChatService(models).generate(request)])
    finally:
        await models.close()
    assert end.usage.prompt_tokens > 750


async def test_a_damaged_picture_is_the_requests_fault(bench: Bench) -> None:
    with pytest.raises(InvalidRequest, match="picture"):
        await bench.ask("What is in this picture?", b"no picture")


async def test_filling_in_reads_what_comes_after(bench: Bench) -> None:
    prompt = "def add(a, b):\n    return "
    plain = CompletionRequest("ember", prompt, sampling=GREEDY, max_tokens=4)
    filling = CompletionRequest("ember", prompt, suffix="\n\nprint(add(1, 2))", sampling=GREEDY, max_tokens=4)
    n_plain, n_filling = [end_of([event async for event in bench.chat.complete(one)]).usage for one in (plain, filling)]
    assert n_filling.prompt_tokens > n_plain.prompt_tokens + 3


LONG = "I have a red ball, a blue ball and a green ball. " * 12 + "Which colours are they?"


async def test_a_conversation_goes_on_after_its_model_was_unloaded(bench: Bench, tmp_path: Path) -> None:
    first = await bench.ask(LONG, cache_key="chat")
    n_prompt = end_of(first).usage.prompt_tokens
    await bench.models.unload("ember")
    assert len(list((tmp_path / "prompts").iterdir())) == 1
    again = await bench.ask(LONG, cache_key="chat")
    assert end_of(again).usage.cached_tokens == n_prompt - 1
    assert text_of(again) == text_of(first)
    await bench.models.unload("ember")
    # Nobody gave that one a key.
    assert end_of(await bench.ask(LONG)).usage.cached_tokens == 0


async def test_a_forgotten_conversation_is_gone_from_memory_and_disk(bench: Bench, tmp_path: Path) -> None:
    await bench.ask(LONG, cache_key="chat")
    await bench.models.unload("ember")
    await bench.ask(LONG, cache_key="chat")
    await bench.chat.forget("chat")
    assert not list((tmp_path / "prompts").iterdir())
    assert end_of(await bench.ask(LONG, cache_key="chat")).usage.cached_tokens == 0
    await bench.chat.forget("chat")
    await bench.models.unload("ember")
    assert not list((tmp_path / "prompts").iterdir())


async def test_what_the_engine_did_can_be_seen(bench: Bench) -> None:
    await bench.ask(LONG)
    stats = bench.models.state("ember").stats
    assert stats is not None
    assert stats.written_tokens > 0
    assert stats.decode_s > stats.fill_s > 0
    assert (stats.active, stats.waiting) == (0, 0)
    assert stats.parked == 1
