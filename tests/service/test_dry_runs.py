from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from pathlib import Path

import pytest

from app.domain.errors import EngineStopped, ModelLoadFailed
from app.domain.memory import HOST, DeviceNeed, MemoryPlan
from app.engine.process import ProcessLauncher
from app.engine.protocol import EngineConfig, Surveyed
from app.library.outline import outline_of, write_outline
from app.service.dry_runs import DryRuns
from tests.engine.tiny_models import write_llama
from tests.fakes import FakeLauncher
from tests.library.gguf_maker import write_model

pytestmark = pytest.mark.anyio

PLAN = MemoryPlan(4096, 0, 10, (DeviceNeed(HOST, 1, 2, 3, free_bytes=100),))


@pytest.fixture
def outline(tmp_path: Path) -> Path:
    path = tmp_path / "outline"
    write_outline(outline_of([write_model(tmp_path / "model.gguf")]), path)
    return path


def _config(outline: Path, n_ctx: int = 0) -> EngineConfig:
    return EngineConfig(outline, n_ctx=n_ctx)


async def test_an_answer_holds_for_some_seconds_or_until_something_changes(outline: Path) -> None:
    launcher = FakeLauncher(plans=(PLAN,) * 9)
    now = [0.0]
    runs = DryRuns(launcher, lambda devices: None, clock=lambda: now[0])
    for _ in range(2):
        assert await runs.plan("a", outline, _config(outline)) == PLAN
    assert len(launcher.surveyed) == 1
    await runs.plan("a", outline, _config(outline, n_ctx=512))
    assert len(launcher.surveyed) == 2
    now[0] += 60
    await runs.plan("a", outline, _config(outline))
    runs.forget()
    await runs.plan("a", outline, _config(outline))
    assert len(launcher.surveyed) == 4


async def test_an_outline_that_is_gone_or_broken_is_its_own_problem(outline: Path, tmp_path: Path) -> None:
    runs = DryRuns(FakeLauncher(plans=(PLAN,)), lambda devices: None)
    broken = tmp_path / "broken"
    broken.write_bytes(b"GGUF" + bytes(3))
    asked = [runs.plan(str(path.name), path, _config(path)) for path in (tmp_path / "gone", broken, outline)]
    gone, bad, good = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(gone, ModelLoadFailed)
    assert gone.model == "gone"
    assert isinstance(bad, ModelLoadFailed)
    assert good == PLAN


async def test_a_model_that_llama_cpp_refuses_does_not_stop_those_behind_it(tmp_path: Path, ember_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    write_outline(outline_of([write_llama(tmp_path / "llama.gguf", ember_path)]), good)
    write_outline(outline_of([write_model(tmp_path / "empty.gguf")]), bad)
    runs = DryRuns(ProcessLauncher(), lambda devices: None)
    asked = [runs.plan(path.name, path, _config(path, n_ctx=512)) for path in (good, bad, good)]
    first, refused, again = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, MemoryPlan)
    assert first == again
    assert isinstance(refused, ModelLoadFailed)


class Counting(FakeLauncher):
    """`workers` counts those that were started."""

    workers = 0

    async def surveys(self, configs: AsyncIterable[EngineConfig]) -> AsyncGenerator[Surveyed | ModelLoadFailed, None]:
        self.workers += 1
        async with aclosing(super().surveys(configs)) as answers:
            async for answer in answers:
                yield answer


async def test_one_worker_answers_what_is_asked_in_quick_succession(outline: Path) -> None:
    launcher = Counting(plans=(PLAN,) * 9)
    runs = DryRuns(launcher, lambda devices: None)
    for n_ctx in (512, 1024, 2048):
        await runs.plan("a", outline, _config(outline, n_ctx))
    assert launcher.workers == 1
    await runs.close()


async def test_no_worker_is_kept_for_later_while_a_model_wants_the_memory(outline: Path) -> None:
    ended = asyncio.Event()

    class Watched(Counting):
        async def surveys(self, configs: AsyncIterable[EngineConfig]) -> AsyncGenerator[Surveyed | ModelLoadFailed, None]:
            async with aclosing(super().surveys(configs)) as answers:
                async for answer in answers:
                    yield answer
            ended.set()

    launcher = Watched(plans=(PLAN,) * 9)
    runs = DryRuns(launcher, lambda devices: None)
    await runs.plan("a", outline, _config(outline, 512))
    runs.rest()
    await asyncio.wait_for(ended.wait(), 0.5)
    await runs.plan("a", outline, _config(outline, 1024))
    assert launcher.workers == 2
    await runs.close()


async def test_who_waits_when_the_program_closes_is_told(outline: Path) -> None:
    class Stuck(FakeLauncher):
        asked = asyncio.Event()

        async def surveys(self, configs: AsyncIterable[EngineConfig]) -> AsyncGenerator[Surveyed | ModelLoadFailed, None]:
            self.asked.set()
            await asyncio.Event().wait()
            yield Surveyed(())

    launcher = Stuck()
    runs = DryRuns(launcher, lambda devices: None)
    waiting = asyncio.ensure_future(runs.plan("a", outline, _config(outline)))
    await launcher.asked.wait()
    await runs.close()
    with pytest.raises(EngineStopped):
        await waiting
