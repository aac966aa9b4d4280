"""Which models are in memory: against a launcher with scripted engines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.errors import EngineCrashed, EngineStopped, InvalidRequest, ModelLoadFailed, ModelNotFound, NotEnoughMemory
from app.domain.generation import ChatRequest, Pooling
from app.domain.memory import HOST, DeviceNeed, MemoryPlan
from app.domain.messages import Message, Role
from app.domain.models import Capability, LoadedModel, ModelState
from app.domain.prompt import ControlText, PlainText
from app.engine.protocol import EngineConfig, ModelInfo, Surveyed
from app.library.stored_template import read_template
from app.service.keep_alive import KeepAlive
from app.service.models import ModelManager
from app.settings import ModelSettings, SettingsStore
from tests.fakes import FakeChatFormat, FakeLauncher, FakeLibrary, installed_model, model_info

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
GIB = 1024**3


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Alarms:
    """What is to happen later, and happens when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[Alarm] = []

    def __call__(self, delay_s: float, call: Callable[[], None]) -> Alarm:
        alarm = Alarm(self, delay_s, call)
        self.waiting.append(alarm)
        return alarm

    @property
    def delays(self) -> list[float]:
        return [alarm.delay_s for alarm in self.waiting]

    def ring(self) -> None:
        """The first one's time has come."""
        self.waiting.pop(0).call()


@dataclass
class Alarm:
    alarms: Alarms
    delay_s: float
    call: Callable[[], None]

    def cancel(self) -> None:
        if self in self.alarms.waiting:
            self.alarms.waiting.remove(self)


class Bench:
    """A manager of the models a, b and c, and everything it was built of."""

    def __init__(self, tmp_path: Path, launcher: FakeLauncher | None = None, **settings: object) -> None:
        self.library = FakeLibrary(*(installed_model(id) for id in "abc"))
        self.launcher = launcher or FakeLauncher()
        self.settings = SettingsStore(tmp_path / "settings.json", overrides=settings)
        self.clock = Clock()
        self.alarms = Alarms()
        self.models = ModelManager(
            self.library,
            self.launcher,
            self.settings,
            make_format=lambda info: FakeChatFormat(),
            clock=self.clock,
            keep_alive=KeepAlive(self.alarms, now=lambda: NOON),
        )
        self.told: list[LoadedModel] = []
        self.models.changed.subscribe(self.told.append)

    @property
    def loaded(self) -> dict[str, ModelState]:
        return {model.id: model.state for model in self.models.loaded}

    async def crash(self, name: str) -> None:
        """Load a model and let it crash, as the manager comes to know it."""
        async with self.models.use(name):
            self.launcher.client.crash()
        await self.until(name, ModelState.FAILED)

    async def until(self, name: str, state: ModelState) -> None:
        reached = asyncio.Event()
        unsubscribe = self.models.changed.subscribe(
            lambda model: reached.set() if (model.id, model.state) == (name, state) else None
        )
        if self.models.state(name).state is not state:
            await asyncio.wait_for(reached.wait(), 5)
        unsubscribe()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_use_loads_once_and_keeps_the_model(bench: Bench) -> None:
    async with bench.models.use("a") as first:
        assert first.model.id == "a"
        assert first.client is bench.launcher.client
    async with bench.models.use("A") as second:
        assert second.client is first.client
    assert len(bench.launcher.configs) == 1
    state = bench.models.state("a")
    assert (state.state, state.n_ctx, state.pid, state.active_requests) == (ModelState.READY, 4096, 4242, 0)


async def test_loading_is_told_step_by_step(bench: Bench) -> None:
    await bench.models.load("a")
    steps = [(model.state, model.progress) for model in bench.told if model.active_requests]
    assert steps == [
        (ModelState.LOADING, 0.0),
        (ModelState.LOADING, 0.5),
        (ModelState.LOADING, 1.0),
        (ModelState.READY, 1.0),
    ]


async def test_uses_at_the_same_time_share_one_load(tmp_path: Path) -> None:
    gate = asyncio.Event()
    bench = Bench(tmp_path, FakeLauncher(gate=gate))
    loads = [asyncio.ensure_future(bench.models.load("a")) for _ in range(3)]
    await bench.until("a", ModelState.LOADING)
    gate.set()
    assert {model.state for model in await asyncio.gather(*loads)} == {ModelState.READY}
    assert len(bench.launcher.configs) == 1


async def test_one_who_leaves_does_not_end_the_load_others_wait_for(tmp_path: Path) -> None:
    gate = asyncio.Event()
    bench = Bench(tmp_path, FakeLauncher(gate=gate))
    leaves, stays = (asyncio.ensure_future(bench.models.load("a")) for _ in range(2))
    await bench.until("a", ModelState.LOADING)
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    gate.set()
    assert (await stays).state is ModelState.READY
    assert bench.launcher.cancelled_loads == 0


async def test_a_load_nobody_waits_for_is_stopped_and_can_begin_again(tmp_path: Path) -> None:
    gate = asyncio.Event()
    bench = Bench(tmp_path, FakeLauncher(gate=gate))
    leaves = asyncio.ensure_future(bench.models.load("a"))
    await bench.until("a", ModelState.LOADING)
    leaves.cancel()
    again = asyncio.ensure_future(bench.models.load("a"))
    with pytest.raises(asyncio.CancelledError):
        await leaves
    gate.set()
    assert (await again).state is ModelState.READY
    assert bench.launcher.cancelled_loads == 1


async def test_unload_stops_a_load(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeLauncher(gate=asyncio.Event()))
    load = asyncio.ensure_future(bench.models.load("a"))
    await bench.until("a", ModelState.LOADING)
    await bench.models.unload("a")
    with pytest.raises(EngineStopped):
        await load
    assert bench.launcher.cancelled_loads == 1
    assert bench.models.loaded == ()


async def test_unload_ends_the_engine_and_says_so(bench: Bench) -> None:
    await bench.models.load("a")
    bench.told.clear()
    await bench.models.unload("a")
    assert [model.state for model in bench.told] == [ModelState.UNLOADING, ModelState.UNLOADED]
    with pytest.raises(EngineStopped):
        await bench.launcher.client.detokenize(())
    await bench.models.unload("a")


async def test_the_least_recently_used_idle_model_makes_room(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_loaded_models=2)
    await bench.models.load("a")
    await bench.models.load("b")
    await bench.models.load("a")
    await bench.models.load("c")
    assert bench.loaded == {"a": ModelState.READY, "c": ModelState.READY}


async def test_a_load_waits_until_the_model_before_it_has_left_the_memory(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_loaded_models=1)
    await bench.models.load("a")
    leaving = bench.launcher.client
    leaving.close_gate = asyncio.Event()
    unloading = asyncio.ensure_future(bench.models.unload("a"))
    loading = asyncio.ensure_future(bench.models.load("b"))
    await bench.until("b", ModelState.LOADING)
    assert len(bench.launcher.configs) == 1
    leaving.close_gate.set()
    await asyncio.gather(unloading, loading)
    assert bench.loaded == {"b": ModelState.READY}


async def test_one_who_is_cancelled_while_unloading_does_not_stop_it(bench: Bench) -> None:
    await bench.models.load("a")
    bench.launcher.client.close_gate = asyncio.Event()
    unloading = asyncio.ensure_future(bench.models.unload("a"))
    await bench.until("a", ModelState.UNLOADING)
    unloading.cancel()
    again = asyncio.ensure_future(bench.models.load("a"))
    bench.launcher.client.close_gate.set()
    assert (await again).state is ModelState.READY
    assert len(bench.launcher.configs) == 2


async def test_a_model_in_use_is_not_unloaded_until_it_is_idle(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_loaded_models=1)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bench.models.use("a"))
        await stack.enter_async_context(bench.models.use("b"))
        assert set(bench.loaded) == {"a", "b"}
        assert bench.models.state("a").active_requests == 1
    await bench.until("a", ModelState.UNLOADED)
    assert bench.loaded == {"b": ModelState.READY}


async def test_the_engine_gets_what_the_settings_and_the_model_say(tmp_path: Path) -> None:
    bench = Bench(tmp_path, n_ctx=1024, n_parallel=2, n_threads=3, gpu_layers=7, pooling="cls")
    projector = Path("/models/mmproj.gguf")
    bench.library.models = (
        installed_model("sees", projector=projector),
        installed_model("embeds", capabilities=frozenset({Capability.EMBEDDING})),
        installed_model("ranks", capabilities=frozenset({Capability.RERANK})),
    )
    for name in ("sees", "embeds", "ranks"):
        await bench.models.load(name)
    sees, embeds, ranks = bench.launcher.configs
    assert (sees.n_ctx, sees.n_parallel, sees.n_threads, sees.n_gpu_layers) == (1024, 2, 3, 7)
    assert (sees.projector_path, sees.embedding) == (projector, False)
    assert (embeds.embedding, embeds.pooling) == (True, Pooling.CLS)
    assert (ranks.embedding, ranks.pooling) == (True, Pooling.RANK)


async def test_an_idle_model_is_loaded_anew_after_its_settings_changed(bench: Bench) -> None:
    await bench.models.load("a")
    bench.settings.update(n_ctx=2048)
    await bench.models.load("a")
    assert [config.n_ctx for config in bench.launcher.configs] == [0, 2048]
    assert bench.loaded == {"a": ModelState.READY}


async def test_an_idle_model_is_loaded_anew_after_its_file_was_replaced(bench: Bench) -> None:
    await bench.models.load("a")
    bench.library.models = tuple(installed_model(id, modified=datetime(2026, 3, 4, tzinfo=UTC)) for id in "abc")
    async with bench.models.use("a") as used:
        assert used.client is bench.launcher.client
    assert len(bench.launcher.configs) == 2


async def test_the_loop_goes_on_while_a_chat_format_is_made(tmp_path: Path) -> None:
    threads: list[threading.Thread] = []

    def make_format(_info: ModelInfo) -> FakeChatFormat:
        threads.append(threading.current_thread())
        return FakeChatFormat()

    settings = SettingsStore(tmp_path / "settings.json")
    models = ModelManager(FakeLibrary(installed_model("a")), FakeLauncher(), settings, make_format=make_format)
    await models.load("a")
    assert threads != [threading.current_thread()]


async def test_a_broken_chat_template_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    launcher = FakeLauncher(info=model_info(chat_template="{% for %}"))
    models = ModelManager(FakeLibrary(installed_model("a")), launcher, SettingsStore(tmp_path / "settings.json"))
    await models.load("a")
    assert "chat template is broken" in caplog.text
    assert "line 1" in (models.state("a").warning or "")
    await models.close()


async def test_a_chosen_chat_template_takes_the_place_of_the_models_own(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text("{% for m in messages %}[{{ m.content }}]{% endfor %}")
    settings = SettingsStore(tmp_path / "settings.json")
    launcher = FakeLauncher(info=model_info(chat_template="{% for %}"))
    models = ModelManager(FakeLibrary(installed_model("a")), launcher, settings)
    for chosen, prompt in (("chatml", "<|im_start|>user\nHi"), (str(file), "[Hi]")):
        settings.update(models={"a": {"chat_template": chosen}})
        async with models.use("a") as used:
            segments = used.format.prompt(ChatRequest("a", (Message.of(Role.USER, "Hi"),)))
        assert "".join(segment.text for segment in segments if isinstance(segment, ControlText | PlainText)).startswith(prompt)
    await models.close()


@pytest.mark.parametrize(("source", "reason"), [(None, "neither one of chatml nor"), ("{{ messages }}\n{% if %}", "line 2")])
async def test_a_chosen_chat_template_that_can_not_be_used_is_an_error(tmp_path: Path, source: str | None, reason: str) -> None:
    file = tmp_path / "own.jinja"
    if source is not None:
        file.write_text(source)
    settings = SettingsStore(tmp_path / "settings.json", overrides={"chat_template": str(file)})
    models = ModelManager(FakeLibrary(installed_model("a")), FakeLauncher(), settings)
    with pytest.raises(ModelLoadFailed, match=reason):
        await models.load("a")
    await models.close()


@pytest.mark.parametrize("loaded", [False, True])
async def test_whether_a_model_thinks_is_what_its_template_says_or_what_was_set(
    tmp_path: Path, ember_path: Path, loaded: bool
) -> None:
    launcher = FakeLauncher(info=model_info(chat_template=read_template(ember_path).source))
    settings = SettingsStore(tmp_path / "settings.json")
    models = ModelManager(FakeLibrary(installed_model("ember", path=ember_path)), launcher, settings)
    if loaded:
        await models.load("ember")
    assert await models.thinks("ember") is False
    settings.update(reasoning_effort="high")
    assert await models.thinks("ember") is True
    settings.update(models={"ember": ModelSettings(reasoning_effort="none")})
    assert await models.thinks("ember") is False
    settings.update(models={"ember": ModelSettings(chat_template="chatml", reasoning_effort="on")})
    assert await models.thinks("ember") is None
    await models.close()


async def test_whether_a_model_thinks_can_not_be_told_without_its_file(bench: Bench) -> None:
    with pytest.raises(ModelLoadFailed):
        await bench.models.thinks("a")


async def test_a_model_with_a_problem_is_refused_without_trying(bench: Bench) -> None:
    bench.library.models = (installed_model("odd", problem="The file is truncated."),)
    with pytest.raises(ModelLoadFailed, match="truncated"):
        await bench.models.load("odd")
    assert bench.launcher.configs == []


async def test_an_unknown_model_is_not_found(bench: Bench) -> None:
    with pytest.raises(ModelNotFound):
        async with bench.models.use("nothing"):
            pass


async def test_the_fallback_model_answers_requests_but_is_never_loaded_under_another_name(bench: Bench) -> None:
    bench.library.fallback = "b"
    assert (await bench.models.find("gpt-4o")).id == "b"
    async with bench.models.use("gpt-4o") as used:
        assert used.model.id == "b"
    for asked in (bench.models.load, bench.models.thinks):
        with pytest.raises(ModelNotFound):
            await asked("gpt-4o")


async def test_a_request_for_more_context_loads_an_idle_model_anew_and_one_for_less_does_not(bench: Bench) -> None:
    bench.launcher.info = model_info(n_ctx=1024)
    for n_ctx, expected in ((None, 1024), (512, 1024), (1024, 1024), (2000, 2000), (1500, 2000), (None, 2000)):
        async with bench.models.use("a", n_ctx=n_ctx) as used:
            assert used.client.info.n_ctx == expected
    assert [config.least_ctx for config in bench.launcher.configs] == [0, 2000]


async def test_the_first_load_has_the_context_that_its_request_asks_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, n_ctx=512)
    async with bench.models.use("a", n_ctx=2000) as used:
        assert used.client.info.n_ctx == 2000
    # What the settings say holds for what comes after a change of them.
    bench.settings.update(n_ctx=1024)
    async with bench.models.use("a") as used:
        assert used.client.info.n_ctx == 1024
    assert [config.n_ctx for config in bench.launcher.configs] == [2000, 1024]


async def test_more_context_than_the_model_was_made_for_is_refused_without_unloading_it(bench: Bench) -> None:
    await bench.models.load("a")
    with pytest.raises(InvalidRequest, match=r"4097.*4096") as caught:
        async with bench.models.use("a", n_ctx=4097):
            pass
    assert caught.value.param == "context_length"
    assert bench.loaded == {"a": ModelState.READY}


async def test_a_stretched_position_encoding_allows_for_more_context(tmp_path: Path) -> None:
    bench = Bench(tmp_path, rope_type="yarn", rope_factor=2.0)
    async with bench.models.use("a", n_ctx=8192) as used:
        assert used.client.info.n_ctx == 8192


async def test_more_context_waits_until_nobody_uses_the_model_and_later_requests_wait_behind_it(bench: Bench) -> None:
    bench.launcher.info = model_info(n_ctx=1024)
    order: list[str] = []

    async def ask(name: str, n_ctx: int | None) -> None:
        async with bench.models.use("a", n_ctx=n_ctx) as used:
            order.append(f"{name} {used.client.info.n_ctx}")

    async with bench.models.use("a"):
        wanting = asyncio.ensure_future(ask("wants more", 2000))
        behind = [asyncio.ensure_future(ask("came later", n_ctx)) for n_ctx in (None, 3000)]
        await asyncio.sleep(0)
        assert order == []
        assert bench.loaded == {"a": ModelState.READY}
    await asyncio.wait_for(asyncio.gather(wanting, *behind), 5)
    assert order == ["wants more 2000", "came later 2000", "came later 3000"]
    assert [config.least_ctx for config in bench.launcher.configs] == [0, 2000, 3000]


async def test_one_who_wanted_more_context_and_left_holds_nobody_up(bench: Bench) -> None:
    bench.launcher.info = model_info(n_ctx=1024)
    async with bench.models.use("a"):
        leaves = asyncio.ensure_future(bench.models.use("a", n_ctx=2000).__aenter__())
        await asyncio.sleep(0)
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        async with bench.models.use("a") as used:
            assert used.client.info.n_ctx == 1024
    assert len(bench.launcher.configs) == 1


async def test_more_context_than_a_load_under_way_gives_comes_after_it(tmp_path: Path) -> None:
    gate = asyncio.Event()
    bench = Bench(tmp_path, FakeLauncher(gate=gate, info=model_info(n_ctx=1024)))
    loading = asyncio.ensure_future(bench.models.load("a"))
    await bench.until("a", ModelState.LOADING)

    async def context(n_ctx: int) -> int:
        async with bench.models.use("a", n_ctx=n_ctx) as used:
            return used.client.info.n_ctx

    asked = [asyncio.ensure_future(context(n_ctx)) for n_ctx in (1000, 2000)]
    await asyncio.sleep(0)
    gate.set()
    await loading
    assert await asyncio.wait_for(asyncio.gather(*asked), 5) == [1024, 2000]
    assert [config.least_ctx for config in bench.launcher.configs] == [0, 2000]


async def test_a_failed_load_is_told_and_the_next_use_tries_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeLauncher(errors=(ModelLoadFailed("a.gguf", "it is too large.", log_tail=("no memory",)),)))
    with pytest.raises(ModelLoadFailed) as caught:
        await bench.models.load("a")
    assert (caught.value.model, caught.value.reason, caught.value.log_tail) == ("a", "it is too large.", ("no memory",))
    failed = bench.models.state("a")
    assert (failed.state, failed.error) == (ModelState.FAILED, "It is too large.")
    assert bench.models.loaded == (failed,)
    assert (await bench.models.load("a")).state is ModelState.READY


async def test_a_bug_in_a_launcher_reaches_who_waits(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeLauncher(errors=(RuntimeError("bug"),)))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="bug"):
        await bench.models.load("a")
    assert bench.models.state("a").state is ModelState.FAILED


async def test_after_a_crash_the_next_use_loads_again(bench: Bench) -> None:
    await bench.crash("a")
    assert "unexpectedly" in (bench.models.state("a").error or "")
    async with bench.models.use("a") as used:
        assert not used.client.crashed
    assert len(bench.launcher.configs) == 2


async def test_a_use_right_after_a_crash_never_gets_the_dead_engine(bench: Bench) -> None:
    async with bench.models.use("a") as used:
        bench.launcher.client.crash()
        with pytest.raises(EngineCrashed):
            await used.client.detokenize(())
        async with bench.models.use("a") as again:
            assert again.client is not used.client


async def test_three_crashes_in_five_minutes_and_the_model_stays_down_until_asked_for(bench: Bench) -> None:
    for _ in range(3):
        await bench.crash("a")
        bench.clock.now += 60
    with pytest.raises(ModelLoadFailed, match="three times within five minutes"):
        async with bench.models.use("a"):
            pass
    assert "three times" in (bench.models.state("a").error or "")
    assert len(bench.launcher.configs) == 3
    assert (await bench.models.load("a")).state is ModelState.READY


async def test_crashes_far_apart_do_not_add_up(bench: Bench) -> None:
    for _ in range(4):
        await bench.crash("a")
        bench.clock.now += 200
    assert (await bench.models.load("b")).state is ModelState.READY
    async with bench.models.use("a"):
        pass


async def test_unloading_a_failed_model_forgets_the_failure(bench: Bench) -> None:
    await bench.crash("a")
    await bench.models.unload("a")
    assert bench.models.state("a") == LoadedModel("a", ModelState.UNLOADED)


async def test_close_ends_everything_and_loads_nothing_more(bench: Bench) -> None:
    await bench.models.load("a")
    await bench.models.load("b")
    await bench.models.close()
    assert bench.models.loaded == ()
    with pytest.raises(EngineStopped, match="closing"):
        await bench.models.load("a")


async def test_close_stops_a_load(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeLauncher(gate=asyncio.Event()))
    load = asyncio.ensure_future(bench.models.load("a"))
    await bench.until("a", ModelState.LOADING)
    await bench.models.close()
    with pytest.raises(EngineStopped):
        await load


# ------------------------------------------------------------------------------------------------------------ keep-alive
async def test_an_idle_model_leaves_when_its_time_is_over(bench: Bench) -> None:
    await bench.models.load("a")
    assert bench.alarms.delays == [600.0]
    assert bench.models.state("a").unload_at == NOON + timedelta(minutes=10)
    bench.alarms.ring()
    await bench.until("a", ModelState.UNLOADED)
    assert bench.alarms.waiting == []


async def test_a_models_time_runs_only_while_nobody_uses_it(bench: Bench) -> None:
    await bench.models.load("a")
    async with bench.models.use("a"):
        assert bench.alarms.waiting == []
        assert bench.models.state("a").unload_at is None
        async with bench.models.use("a"):
            pass
        assert bench.alarms.waiting == []
    assert bench.alarms.delays == [600.0]


async def test_a_request_says_how_long_its_model_stays(bench: Bench) -> None:
    async with bench.models.use("a", keep_alive_s=30):
        pass
    assert bench.alarms.delays == [30.0]
    async with bench.models.use("a", keep_alive_s=-1):
        pass
    assert bench.alarms.waiting == []
    assert bench.models.state("a").state is ModelState.READY
    async with bench.models.use("a"):
        pass
    assert bench.alarms.delays == [600.0]


async def test_no_time_at_all_unloads_a_model_with_its_last_answer(bench: Bench) -> None:
    async with bench.models.use("a"), bench.models.use("a", keep_alive_s=0):
        pass
    await bench.until("a", ModelState.UNLOADED)
    assert bench.alarms.waiting == []


async def test_a_model_that_is_taken_up_again_at_once_stays(bench: Bench) -> None:
    async with bench.models.use("a", keep_alive_s=0):
        pass
    async with bench.models.use("a") as used:
        for _ in range(3):
            await asyncio.sleep(0)
        assert bench.models.state("a").state is ModelState.READY
        assert used.client is bench.launcher.client
    assert len(bench.launcher.configs) == 1


async def test_the_settings_say_how_long_models_stay_and_one_of_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, keep_alive_s=60, models={"b": {"keep_alive_s": -1}}, max_loaded_models=3)
    await bench.models.load("a")
    await bench.models.load("b")
    assert bench.alarms.delays == [60.0]


async def test_a_model_to_be_kept_never_leaves_for_being_idle(bench: Bench) -> None:
    bench.models.keep("a")
    await bench.models.load("a")
    async with bench.models.use("a"):
        pass
    assert bench.alarms.waiting == []


async def test_a_model_that_was_unloaded_has_no_time_left_to_run(bench: Bench) -> None:
    await bench.models.load("a")
    await bench.models.unload("a")
    assert bench.alarms.waiting == []
    await bench.models.load("a")
    await bench.models.close()
    assert bench.alarms.waiting == []


async def test_a_model_that_was_pinned_meanwhile_stays(bench: Bench) -> None:
    await bench.models.load("a")
    bench.settings.update(models={"a": {"pinned": True}})
    bench.alarms.ring()
    await asyncio.sleep(0)
    assert bench.models.state("a").state is ModelState.READY


async def test_a_pinned_model_neither_leaves_nor_makes_room(tmp_path: Path) -> None:
    bench = Bench(tmp_path, models={"a": {"pinned": True}}, max_loaded_models=1)
    await bench.models.load("a")
    assert bench.alarms.waiting == []
    await bench.models.load("b")
    await bench.models.load("c")
    assert bench.loaded == {"a": ModelState.READY, "c": ModelState.READY}


# ---------------------------------------------------------------------------------------------------------------- memory
def plan(weights: int, *, free: int, wanted_ctx: int = 4096, limit: int = 0) -> MemoryPlan:
    """A plan for the processor, in GiB."""
    need = DeviceNeed(HOST, weights * GIB, 0, 0, free_bytes=free * GIB)
    return MemoryPlan(4096, 0, 1, (need,), limit_bytes=limit, wanted_ctx=wanted_ctx)


def loads(*plans: MemoryPlan | None, gib: int = 4, mapped: int = 0) -> FakeLauncher:
    """Models that take `gib` each, and what surveys say."""
    return FakeLauncher(info=model_info(memory=plan(gib, free=64), mapped_bytes=mapped * GIB), plans=plans)


async def test_a_model_is_not_surveyed_where_nothing_could_make_room(tmp_path: Path) -> None:
    bench = Bench(tmp_path, loads())
    await bench.models.load("a")
    async with bench.models.use("a"):
        await bench.models.load("b")
    assert bench.launcher.surveyed == []


async def test_idle_models_make_room_for_one_that_does_not_fit_beside_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, loads(None, plan(6, free=1), plan(6, free=5), plan(6, free=9)), max_loaded_models=9)
    await bench.models.load("a")
    await bench.models.load("b")
    await bench.models.load("c")
    assert bench.loaded == {"c": ModelState.READY}
    assert len(bench.launcher.surveyed) == 3


async def test_the_least_recently_used_goes_first_and_no_more_than_needed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, loads(None, plan(6, free=3), plan(6, free=7)), max_loaded_models=9)
    await bench.models.load("a")
    await bench.models.load("b")
    await bench.models.load("a")
    await bench.models.load("c")
    assert bench.loaded == {"a": ModelState.READY, "c": ModelState.READY}


async def test_models_in_use_and_pinned_ones_never_make_room(tmp_path: Path) -> None:
    launcher = loads(None, plan(6, free=1))
    bench = Bench(tmp_path, launcher, max_loaded_models=9, models={"b": {"pinned": True}})
    async with bench.models.use("a"):
        await bench.models.load("b")
        await bench.models.load("c")
        assert set(bench.loaded) == {"a", "b", "c"}


async def test_nothing_is_unloaded_for_a_model_that_would_not_fit_in_any_case(tmp_path: Path) -> None:
    bench = Bench(tmp_path, loads(plan(60, free=1)), max_loaded_models=9)
    await bench.models.load("a")
    bench.launcher.errors = [NotEnoughMemory("b.gguf", "it needs 60 GiB.")]
    with pytest.raises(NotEnoughMemory) as caught:
        await bench.models.load("b")
    assert (caught.value.model, caught.value.reason) == ("b", "it needs 60 GiB.")
    assert bench.models.state("a").state is ModelState.READY


async def test_a_model_whose_context_would_suffer_gets_the_room_of_a_large_idle_one(tmp_path: Path) -> None:
    cramped = plan(6, free=7, wanted_ctx=8192)
    bench = Bench(tmp_path, loads(cramped), max_loaded_models=9)
    await bench.models.load("a")
    await bench.models.load("b")
    assert bench.loaded == {"b": ModelState.READY}


async def test_a_small_idle_model_is_not_sent_away_for_a_little_more_context(tmp_path: Path) -> None:
    bench = Bench(tmp_path, loads(plan(60, free=61, wanted_ctx=8192)), max_loaded_models=9)
    await bench.models.load("a")
    await bench.models.load("b")
    assert set(bench.loaded) == {"a", "b"}


async def test_a_load_is_told_what_the_others_map_and_what_the_limit_leaves(tmp_path: Path) -> None:
    bench = Bench(tmp_path, loads(gib=4, mapped=3), memory_limit_gib=10, max_loaded_models=9)
    await bench.models.load("a")
    await bench.models.load("b")
    first, second = bench.launcher.configs
    assert (first.memory_reserved_bytes, first.memory_limit_bytes) == (0, 10 * GIB)
    assert (second.memory_reserved_bytes, second.memory_limit_bytes) == (3 * GIB, 6 * GIB)
    # What others take must not look like changed settings.
    await bench.models.load("b")
    assert len(bench.launcher.configs) == 2


async def test_a_used_up_limit_leaves_nothing_rather_than_all(tmp_path: Path) -> None:
    bench = Bench(tmp_path, loads(gib=12), memory_limit_gib=10, max_loaded_models=9)
    async with bench.models.use("a"):
        await bench.models.load("b")
    assert bench.launcher.configs[1].memory_limit_bytes == 1


async def test_a_survey_that_fails_leaves_the_word_to_the_load(tmp_path: Path) -> None:
    class Blind(FakeLauncher):
        async def survey(self, config: EngineConfig | None) -> Surveyed:
            raise ModelLoadFailed("b.gguf", "llama.cpp gave up on it.")

    bench = Bench(tmp_path, Blind(), max_loaded_models=9)
    await bench.models.load("a")
    assert (await bench.models.load("b")).state is ModelState.READY


async def test_what_does_not_fit_can_be_tried_all_the_same_this_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.models.load("a", try_anyway=True, n_ctx=512)
    (config,) = bench.launcher.configs
    assert (config.memory_check, config.least_ctx) == (False, 512)
    # It is loaded as the settings say, so it need not be loaded anew.
    await bench.models.load("a")
    assert len(bench.launcher.configs) == 1
    await bench.models.unload("a")
    await bench.models.load("a")
    assert bench.launcher.configs[-1].memory_check


async def test_models_are_loaded_one_after_the_other(tmp_path: Path) -> None:
    gate = asyncio.Event()
    bench = Bench(tmp_path, FakeLauncher(gate=gate), max_loaded_models=9)
    both = asyncio.gather(bench.models.load("a"), bench.models.load("b"))
    await bench.until("b", ModelState.LOADING)
    await asyncio.sleep(0)
    assert len(bench.launcher.configs) == 1
    gate.set()
    await both
    assert set(bench.loaded) == {"a", "b"}


async def test_what_a_loaded_model_takes_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, loads(gib=4))
    assert (await bench.models.load("a")).memory_bytes == 4 * GIB
    bench = Bench(tmp_path, FakeLauncher(info=model_info(size_bytes=7)))
    assert (await bench.models.load("a")).memory_bytes == 7
