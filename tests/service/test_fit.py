"""Whether models fit: real outlines, with a launcher whose surveys are scripted, and with llama.cpp itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from app.domain.errors import HubUnreachable, InvalidRequest, ModelLoadFailed, ModelNotFound
from app.domain.fit import FitVerdict
from app.domain.memory import HOST, Device, DeviceKind, DeviceNeed, MemoryPlan
from app.engine.process import ProcessLauncher
from app.engine.protocol import EngineConfig, Surveyed
from app.library.hub import Hub
from app.library.outlines import Outlines
from app.library.range_reader import RangeReader
from app.library.remote_header import RemoteHeaders
from app.library.retry_policy import RetryPolicy
from app.service.fit import FitService
from app.service.models import ModelManager
from app.settings import SettingsStore
from tests.fake_hub import FakeHub
from tests.fakes import FakeChatFormat, FakeLauncher, FakeLibrary, installed_model, model_info
from tests.library.gguf_maker import write_model

pytestmark = pytest.mark.anyio

GIB = 1024**3


def plan(gib: float, *, free: float, gpu: float = 0, gpu_free: float = 0, n_gpu: int = 0, wanted_ctx: int = 4096) -> MemoryPlan:
    """A model of ten layers, in GiB of the host's memory and of a graphics card's."""
    host = DeviceNeed(HOST, round(gib * GIB), 0, 0, free_bytes=round(free * GIB))
    card = DeviceNeed("CUDA0", round(gpu * GIB), 0, 0, free_bytes=round(gpu_free * GIB))
    return MemoryPlan(4096, n_gpu, 10, (card, host) if gpu_free else (host,), wanted_layers=n_gpu, wanted_ctx=wanted_ctx)


def device(name: str, kind: DeviceKind, free: float) -> Device:
    """Twice as large as what is free of it."""
    return Device(name, name, kind, round(free * GIB), round(2 * free * GIB))


class SeeingLauncher(FakeLauncher):
    """One that knows devices, and plans by the size of the file that it is shown."""

    def __init__(self, *devices: Device, plans: dict[int, MemoryPlan] | None = None) -> None:
        super().__init__(info=model_info(memory=plan(4, free=64)))
        self.devices = devices
        self.plan_by_size = plans or {}

    async def survey(self, config: EngineConfig | None) -> Surveyed:
        self.surveyed.append(config)
        if config is None:
            return Surveyed(self.devices)
        size = config.model_path.stat().st_size
        return Surveyed(self.devices, min(self.plan_by_size.items(), key=lambda item: abs(item[0] - size))[1])


class Bench:
    """A service over the models a, b and c, whose files are real, and a fake hub."""

    def __init__(self, folder: Path, launcher: FakeLauncher | ProcessLauncher, hub: FakeHub, **settings: object) -> None:
        self.launcher = launcher
        self.models = [installed_model(name, path=write_model(folder / f"{name}.gguf")) for name in "abc"]
        self.settings = SettingsStore(folder / "settings.json", overrides=settings)
        self.library = FakeLibrary(*self.models)
        self.manager = ModelManager(self.library, launcher, self.settings, make_format=lambda info: FakeChatFormat())
        self.fake_hub = hub
        self.hub = Hub(endpoint=hub.endpoint)
        outlines = Outlines(folder / "outlines")
        policy = RetryPolicy(tries=1)
        self.headers = RemoteHeaders(self.hub, outlines, RangeReader(self.hub, policy))
        self.fit = FitService(self.library, self.manager, launcher, self.settings, self.headers, outlines)

    async def close(self) -> None:
        await self.fit.close()
        await self.headers.close()
        await self.manager.close()


class Benches:
    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.stack = stack

    def make(self, launcher: FakeLauncher | ProcessLauncher, **settings: object) -> Bench:
        bench = Bench(self.folder, launcher, self.stack.enter_context(FakeHub()), **settings)
        self.stack.push_async_callback(bench.close)
        return bench


@pytest.fixture
async def benches(tmp_path: Path) -> AsyncIterator[Benches]:
    async with AsyncExitStack() as stack:
        yield Benches(tmp_path, stack)


# ------------------------------------------------------------------------------------------------------------ installed
@pytest.mark.parametrize(
    ("told", "verdict", "short"),
    [
        (plan(4, free=8), FitVerdict.MEMORY, 0),
        (plan(9, free=8), FitVerdict.TOO_LARGE, 1),
        (plan(1, free=8, gpu=4, gpu_free=6, n_gpu=10), FitVerdict.GPU, 0),
        (plan(1, free=8, gpu=4, gpu_free=6, n_gpu=4), FitVerdict.PARTLY, 0),
        (plan(9, free=8, gpu=4, gpu_free=2, n_gpu=4), FitVerdict.TOO_LARGE, 3),
    ],
)
async def test_a_plan_becomes_a_verdict(benches: Benches, told: MemoryPlan, verdict: FitVerdict, short: int) -> None:
    fit = await benches.make(FakeLauncher(plans=(told,))).fit.installed("a")
    assert (fit.verdict, fit.short_bytes, fit.estimated) == (verdict, short * GIB, False)
    assert fit.plan == told


async def test_a_context_can_be_tried_but_none_that_the_model_was_not_made_for(benches: Benches) -> None:
    launcher = FakeLauncher(plans=(plan(4, free=8),) * 3)
    bench = benches.make(launcher, n_ctx=2048)
    await bench.fit.installed("a")
    await bench.fit.installed("a", n_ctx=512)
    await bench.fit.installed("a", n_ctx=0)
    assert [config.n_ctx for config in launcher.surveyed if config] == [2048, 512, 0]
    with pytest.raises(InvalidRequest):
        await bench.fit.installed("a", n_ctx=10_000_000)


async def test_models_that_would_leave_are_taken_for_gone(benches: Benches) -> None:
    launcher = FakeLauncher(info=model_info(memory=plan(4, free=64), mapped_bytes=3 * GIB))
    bench = benches.make(launcher, memory_limit_gib=20, max_loaded_models=9)
    await bench.manager.load("a")
    await bench.manager.load("b")
    launcher.surveyed.clear()
    launcher.plans = [plan(6, free=1), plan(6, free=5), plan(6, free=9)]
    fit = await bench.fit.installed("c")
    assert fit.verdict is FitVerdict.MEMORY
    # First beside both, then without the one that was used longest ago; to ask for more would be of no use.
    both, one, none = [config for config in launcher.surveyed if config]
    assert (both.memory_returned, both.memory_reserved_bytes, both.memory_limit_bytes) == ((), 6 * GIB, 12 * GIB)
    assert (one.memory_returned, one.memory_reserved_bytes, one.memory_limit_bytes) == (((HOST, GIB),), 3 * GIB, 16 * GIB)
    assert (none.memory_returned, none.memory_reserved_bytes) == (((HOST, 2 * GIB),), 0)
    assert {model.id for model in bench.manager.loaded} == {"a", "b"}


async def test_one_model_too_many_leaves_in_any_case_and_a_model_makes_room_for_itself(benches: Benches) -> None:
    launcher = FakeLauncher(info=model_info(memory=plan(4, free=64)))
    bench = benches.make(launcher, max_loaded_models=1)
    await bench.manager.load("a")
    launcher.plans = [plan(1, free=8)] * 2
    await bench.fit.installed("b")
    await bench.fit.installed("a")
    assert [config.memory_returned for config in launcher.surveyed if config] == [((HOST, 4 * GIB),)] * 2


async def test_models_in_use_stay(benches: Benches) -> None:
    launcher = FakeLauncher(info=model_info(memory=plan(4, free=64)))
    bench = benches.make(launcher)
    async with bench.manager.use("a"):
        launcher.plans = [plan(6, free=1)]
        assert (await bench.fit.installed("b")).verdict is FitVerdict.TOO_LARGE


async def test_a_list_is_asked_for_in_few_surveys(benches: Benches) -> None:
    class Counting(FakeLauncher):
        batches = 0

        def surveys(self, configs):  # type: ignore[no-untyped-def]
            self.batches += 1
            return super().surveys(configs)

    launcher = Counting(plans=(plan(4, free=8),) * 9)
    bench = benches.make(launcher)
    await asyncio.gather(*(bench.fit.installed(name) for name in "abcabcabc"))
    assert launcher.batches <= 3
    # Each was asked for once.
    assert len(launcher.surveyed) == 3


async def test_what_can_t_be_loaded_says_why(benches: Benches) -> None:
    bench = benches.make(FakeLauncher())
    with pytest.raises(ModelNotFound):
        await bench.fit.installed("nobody")
    with pytest.raises(ModelLoadFailed, match="does not say"):
        await bench.fit.installed("a")
    bench.models[1].path.write_bytes(b"<html>")
    with pytest.raises(ModelLoadFailed, match="web page"):
        await bench.fit.installed("b")


async def test_who_leaves_does_not_spoil_it_for_others(benches: Benches) -> None:
    bench = benches.make(FakeLauncher(plans=(plan(4, free=8),) * 2))
    first, second = (asyncio.ensure_future(bench.fit.installed(name)) for name in "ab")
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).verdict is FitVerdict.MEMORY


async def test_changes_of_what_is_free_are_told(benches: Benches) -> None:
    bench = benches.make(FakeLauncher())
    told = asyncio.Event()
    bench.fit.changed.subscribe(lambda _: told.set())
    bench.settings.update(memory_limit_gib=4.0)
    assert told.is_set()
    told.clear()
    await bench.manager.load("a")
    await asyncio.wait_for(told.wait(), 5)


async def test_answers_that_come_and_go_change_nothing(benches: Benches) -> None:
    bench = benches.make(FakeLauncher())
    told: list[None] = []
    another = asyncio.Event()
    await bench.manager.load("a")
    bench.fit.changed.subscribe(told.append)
    bench.fit.changed.subscribe(lambda _: another.set())
    for _ in range(20):
        async with bench.manager.use("a"):
            pass
    await asyncio.wait_for(another.wait(), 5)
    another.clear()
    await bench.manager.load("b")
    await asyncio.wait_for(another.wait(), 5)
    assert len(told) == 2


# ----------------------------------------------------------------------------------------------------------- on the hub
SIZES = {"Q4_0": 300_000, "Q8_0": 500_000, "F16": 1_000_000}


def _files(folder: Path, **sizes: int) -> dict[str, bytes]:
    """Models whose weights take that many bytes."""
    files = {}
    for name, size in sizes.items():
        weights = {"token_embd.weight": np.zeros((size // 256, 64), np.float32)}
        files[f"m-{name}.gguf"] = write_model(folder / "remote.gguf", tensors=weights).read_bytes()
    return files


def _plans(**plans: MemoryPlan) -> dict[int, MemoryPlan]:
    return {SIZES[name]: told for name, told in plans.items()}


async def test_a_file_on_the_hub_is_planned_as_it_will_be_loaded(benches: Benches) -> None:
    launcher = SeeingLauncher(plans=_plans(Q8_0=plan(4, free=8)))
    bench = benches.make(launcher, n_ctx=2048, models={"m-Q8_0": {"n_ctx": 1024}})
    bench.fake_hub.add("org/repo", _files(benches.folder, Q8_0=SIZES["Q8_0"]))
    repository = await bench.hub.repository("org/repo")
    fit = await bench.fit.remote(repository, repository.models[0])
    assert (fit.verdict, fit.estimated) == (FitVerdict.MEMORY, False)
    (config,) = [config for config in launcher.surveyed if config]
    assert config.n_ctx == 1024
    with pytest.raises(InvalidRequest):
        await bench.fit.remote(repository, repository.models[0], n_ctx=10_000_000)


@pytest.mark.parametrize(
    ("plans", "best"),
    [
        # All fit: but for F16, which is no better to use.
        ({"Q4_0": plan(4, free=64), "Q8_0": plan(8, free=64)}, "Q8_0"),
        # The larger one does not fit.
        ({"Q4_0": plan(4, free=6), "Q8_0": plan(8, free=6)}, "Q4_0"),
        # Only the smaller one is all on the graphics card.
        (
            {
                "Q4_0": plan(1, free=64, gpu=4, gpu_free=6, n_gpu=10),
                "Q8_0": plan(4, free=64, gpu=5, gpu_free=6, n_gpu=6),
            },
            "Q4_0",
        ),
        # The larger one leaves no room for a talk.
        ({"Q4_0": plan(4, free=9), "Q8_0": plan(8, free=9, wanted_ctx=8192)}, "Q4_0"),
        ({"Q4_0": plan(4, free=1), "Q8_0": plan(8, free=1)}, None),
    ],
)
async def test_the_largest_quantization_that_stays_best_is_recommended(
    benches: Benches, plans: dict[str, MemoryPlan], best: str | None
) -> None:
    launcher = SeeingLauncher(plans=_plans(**plans, F16=plan(4, free=64)))
    bench = benches.make(launcher)
    bench.fake_hub.add("org/repo", _files(benches.folder, **SIZES))
    recommended = await bench.fit.recommended(await bench.hub.repository("org/repo"))
    assert (recommended.quantization if recommended else None) == best


async def test_an_unquantized_file_is_recommended_where_there_is_no_other(benches: Benches) -> None:
    bench = benches.make(SeeingLauncher(plans=_plans(F16=plan(4, free=64))))
    bench.fake_hub.add("org/repo", _files(benches.folder, F16=SIZES["F16"]))
    recommended = await bench.fit.recommended(await bench.hub.repository("org/repo"))
    assert recommended is not None


async def test_a_hub_that_can_t_be_reached_is_told_of_one_file_and_recommends_nothing(benches: Benches) -> None:
    bench = benches.make(SeeingLauncher(plans=_plans(Q8_0=plan(4, free=8))))
    bench.fake_hub.add("org/repo", _files(benches.folder, Q8_0=SIZES["Q8_0"]))
    repository = await bench.hub.repository("org/repo")
    bench.fake_hub.faults.statuses = [500, 500]
    with pytest.raises(HubUnreachable):
        await bench.fit.remote(repository, repository.models[0])
    assert await bench.fit.recommended(repository) is None


# ----------------------------------------------------------------------------------------------------------- from a size
@pytest.mark.parametrize(
    ("devices", "size", "verdict"),
    [
        ((device(HOST, DeviceKind.CPU, 16),), 5, FitVerdict.MEMORY),
        ((device(HOST, DeviceKind.CPU, 16),), 40, FitVerdict.TOO_LARGE),
        ((device("CUDA0", DeviceKind.GPU, 12), device(HOST, DeviceKind.CPU, 16)), 5, FitVerdict.GPU),
        ((device("CUDA0", DeviceKind.GPU, 12), device(HOST, DeviceKind.CPU, 16)), 14, FitVerdict.PARTLY),
        ((device("CUDA0", DeviceKind.GPU, 0.8), device(HOST, DeviceKind.CPU, 16)), 8, FitVerdict.MEMORY),
        # Metal's memory is the computer's own.
        ((device("MTL0", DeviceKind.GPU, 12), device(HOST, DeviceKind.CPU, 16)), 18, FitVerdict.TOO_LARGE),
    ],
)
async def test_a_size_alone_gives_a_rough_verdict(
    benches: Benches, devices: tuple[Device, ...], size: float, verdict: FitVerdict
) -> None:
    assert await benches.make(SeeingLauncher(*devices)).fit.rough(round(size * 1e9)) is verdict


async def test_a_rough_verdict_knows_what_would_leave_and_asks_for_devices_once(benches: Benches) -> None:
    launcher = SeeingLauncher(device(HOST, DeviceKind.CPU, 6))
    bench = benches.make(launcher)
    assert await bench.fit.rough(6_000_000_000) is FitVerdict.TOO_LARGE
    assert await bench.fit.rough(1_000_000_000) is FitVerdict.MEMORY
    assert launcher.surveyed == [None]
    await bench.manager.load("a")
    assert await bench.fit.rough(6_000_000_000) is FitVerdict.MEMORY


# ------------------------------------------------------------------------------------------------------ with llama.cpp
async def test_a_model_on_the_hub_fits_as_it_will_once_it_is_here(benches: Benches, ember_path: Path) -> None:
    data = await asyncio.to_thread(ember_path.read_bytes)
    bench = benches.make(ProcessLauncher(), n_ctx=1024)
    bench.library.models = (installed_model("ember", path=ember_path),)
    bench.fake_hub.add("org/repo", {"ember.gguf": data})
    repository = await bench.hub.repository("org/repo")
    here, there = await bench.fit.installed("ember"), await bench.fit.remote(repository, repository.models[0])
    assert here.verdict is there.verdict
    assert [_sizes(need) for need in here.plan.needs] == [_sizes(need) for need in there.plan.needs]


def _sizes(need: DeviceNeed) -> tuple[int, int, int]:
    return (need.weights_bytes, need.kv_bytes, need.compute_bytes)
