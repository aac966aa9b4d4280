"""Which models are in memory, and getting them there."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from app.domain.durations import FOREVER
from app.domain.errors import EngineStopped, ModelLoadFailed
from app.domain.generation import Effort
from app.domain.models import Capability, InstalledModel, LoadedModel, ModelState
from app.domain.observable import Observable
from app.engine.client import EngineLauncher
from app.engine.protocol import EngineConfig, ModelInfo
from app.engine.state_files import forget_states
from app.formats.chat_format import ChatFormat
from app.library.library import ModelLibrary
from app.service.crashes import CrashRecord
from app.service.keep_alive import KeepAlive
from app.service.memory_room import MemoryRoom, Neighbours
from app.service.model_config import (
    chat_template,
    check_context,
    effective_settings,
    engine_config,
    is_pinned,
    own_system_prompt,
    reasoning_default,
    sampling_default,
)
from app.service.resident import ModelInUse, Resident
from app.service.template_facts import TemplateFacts, TemplateReader
from app.settings import SettingsStore

__all__ = ["ModelInUse", "ModelManager"]

_log = logging.getLogger(__name__)

# Progress of less than this is not worth telling.
_PROGRESS_STEP = 0.01


class ModelManager:
    """Loads on demand, one model after the other; the least recently used idle models make room where memory is short, or where
    there are more than `max_loaded_models`. Models in use and pinned ones stay; others leave when they were idle for long.

    A load ends when nobody waits for it any more. A model that crashed is loaded again with the next request, unless it keeps
    crashing; then only `load` tries again. An idle model whose settings or files have changed is loaded anew at its next use.

    Owned by the service loop.
    """

    def __init__(
        self,
        library: ModelLibrary,
        launcher: EngineLauncher,
        settings: SettingsStore,
        *,
        cache_folder: Path | None = None,
        make_format: Callable[[ModelInfo], ChatFormat] | None = None,
        clock: Callable[[], float] = time.monotonic,
        keep_alive: KeepAlive | None = None,
    ) -> None:
        """`make_format` is called on another thread. Engines keep prompts of conversations in `cache_folder`."""
        self.changed: Observable[LoadedModel] = Observable()
        self._library = library
        self._launcher = launcher
        self._settings = settings
        self._cache_folder = cache_folder
        self._make_format = make_format or _format_of
        self._residents: dict[str, Resident] = {}
        self._failures: dict[str, LoadedModel] = {}
        self._crashes = CrashRecord(clock)
        self._keep_alive = keep_alive or KeepAlive()
        # The next load has to see what the last one took.
        self._loading = asyncio.Lock()
        self._room = MemoryRoom(settings)
        self._templates = TemplateReader()
        self._kept: set[str] = set()
        self._uses = itertools.count(1)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        library.changed.subscribe(self._unload_removed)

    @property
    def loaded(self) -> tuple[LoadedModel, ...]:
        """Models that are not UNLOADED."""
        return (*(resident.snapshot for resident in self._residents.values()), *self._failures.values())

    def state(self, model_id: str) -> LoadedModel:
        resident = self._residents.get(model_id)
        if resident is not None:
            return resident.snapshot
        return self._failures.get(model_id) or LoadedModel(model_id, ModelState.UNLOADED)

    async def find(self, name: str) -> InstalledModel:
        """What `use` would load for `name`, to look at before it is loaded. Raises ModelNotFound."""
        return await self._library.find_any(name)

    @asynccontextmanager
    async def use(
        self, name: str, *, keep_alive_s: float | None = None, n_ctx: int | None = None
    ) -> AsyncGenerator[ModelInUse, None]:
        """Hold a model, loading it first if need be; the fallback model where `name` is nobody's. Raises ModelNotFound,
        ModelLoadFailed, and InvalidRequest for a context it was not made for.

        `keep_alive_s` is how long it stays afterwards, -1 for ever; None leaves that to the settings. A model whose context is
        shorter than `n_ctx` is loaded again as soon as nobody uses it.
        """
        resident = await self._acquire(await self._library.find_any(name), keep_alive_s, n_ctx or 0)
        try:
            settings = self._settings.current
            yield replace(
                resident.in_use,
                reasoning=reasoning_default(resident.model.id, settings),
                sampling=sampling_default(resident.model.id, settings),
                system_prompt=own_system_prompt(resident.model, settings),
            )
        finally:
            self._release(resident)

    async def thinks(self, name: str) -> bool | None:
        """Whether a model reasons where a request says nothing of it; None if it can't.

        Its file is read if it is not in memory. Raises ModelNotFound, ModelLoadFailed.
        """
        model = await self._library.find(name)
        facts = await self.facts(model)
        if Capability.REASONING not in facts.capabilities:
            return None
        effort = reasoning_default(model.id, self._settings.current).effort
        return facts.thinks_by_default if effort is None else effort is not Effort.NONE

    async def facts(self, model: InstalledModel) -> TemplateFacts:
        """What its chat template tells. Its file is read if it is not in memory. Raises ModelLoadFailed."""
        return self.known_facts(model) or await self._templates.read(
            model, effective_settings(model.id, self._settings.current)
        )

    def known_facts(self, model: InstalledModel) -> TemplateFacts | None:
        """The same without reading a file; None if that would have to be done."""
        chosen = effective_settings(model.id, self._settings.current)
        resident = self._residents.get(model.id)
        if resident is not None and resident.state is ModelState.READY and resident.template == chosen.chat_template:
            return TemplateFacts.of(resident.in_use.format)
        return self._templates.known(model, chosen)

    async def load(
        self, name: str, *, keep_alive_s: float | None = None, n_ctx: int | None = None, try_anyway: bool = False
    ) -> LoadedModel:
        """Load ahead of use, also what was given up after too many crashes. Raises ModelNotFound, ModelLoadFailed.

        With `try_anyway` also what does not fit by the plan, this time.
        """
        model = await self._library.find(name)
        self._crashes.forgive(model.id)
        self._release(await self._acquire(model, keep_alive_s, n_ctx or 0, memory_check=not try_anyway))
        return self.state(model.id)

    def neighbours(self, model_id: str) -> Neighbours:
        """Who would share the memory with a model if it were loaded now."""
        others = [one for one in self._residents.values() if one.model.id != model_id]
        gone = [one for one in self._residents.values() if one.model.id == model_id or one.state is ModelState.UNLOADING]
        idle = [one for one in self._evictable(None) if one.model.id != model_id]
        n_over = max(0, len(others) + 1 - self._settings.current.max_loaded_models)
        staying = [one for one in others if one not in idle and one not in gone]
        return Neighbours(tuple(staying), tuple(idle[n_over:]), (*idle[:n_over], *gone))

    def keep(self, model_id: str) -> None:
        """Never unload a model for being idle, as long as this program runs. It still makes room where memory is short."""
        self._kept.add(model_id)

    async def unload(self, model_id: str) -> None:
        """End its process; running answers fail with EngineStopped. A load under way is stopped."""
        if self._failures.pop(model_id, None) is not None:
            self.changed.notify(self.state(model_id))
        resident = self._residents.get(model_id)
        if resident is not None:
            await self._end(resident)

    async def forget(self, cache_key: str) -> None:
        """Have nothing kept of what was computed for a conversation, in memory or on the disk."""
        for resident in self._residents.values():
            if resident.state is ModelState.READY:
                resident.in_use.client.forget(cache_key)
        if self._cache_folder is not None:
            await asyncio.to_thread(forget_states, self._cache_folder, cache_key)

    async def close(self) -> None:
        """Unload everything and load nothing more."""
        self._closed = True
        await asyncio.gather(*(self._end(resident) for resident in tuple(self._residents.values())))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------------ held and let go
    async def _acquire(
        self, model: InstalledModel, keep_alive_s: float | None, n_ctx: int = 0, *, memory_check: bool = True
    ) -> Resident:
        resident = await self._resident(model, n_ctx, memory_check)
        resident.hold()
        resident.last_used = next(self._uses)
        resident.keep_alive_s, resident.unload_at = keep_alive_s, None
        self._keep_alive.stop(model.id)
        self._tell(resident)
        try:
            # Shielded: the load is shared, and one who leaves must not end it for the others.
            await asyncio.shield(resident.ready)
        except BaseException:
            self._release(resident)
            raise
        return resident

    async def _resident(self, model: InstalledModel, n_ctx: int, memory_check: bool) -> Resident:
        """The model's place in memory, begun if there is none that can be used."""
        while True:
            self._check(model)
            config = engine_config(model, self._settings.current, self._cache_folder)
            check_context(model, config, n_ctx)
            template = effective_settings(model.id, self._settings.current).chat_template
            resident = self._residents.get(model.id)
            if resident is None:
                return self._begin(Resident(model, config, template, n_ctx, memory_check=memory_check))
            if resident.crashed:
                self._on_crash(resident)
            elif resident.state is ModelState.UNLOADING or (resident.idle and not resident.is_of(model, config, template)):
                await self._end(resident)
            elif resident.has_room(n_ctx) and not resident.outgrown.locked():
                return resident
            else:
                await self._outgrow(resident, n_ctx)

    async def _outgrow(self, resident: Resident, n_ctx: int) -> None:
        """Unload a model that is too small for a request, once nobody uses it."""
        async with resident.outgrown:
            await asyncio.wait({resident.ready})
            if not resident.has_room(n_ctx):
                await resident.free.wait()
                if resident.idle:
                    await self._end(resident)

    def _check(self, model: InstalledModel) -> None:
        if self._closed:
            raise EngineStopped("The program is closing.")
        if model.problem is not None:
            raise ModelLoadFailed(model.id, model.problem)
        if self._crashes.is_down(model.id):
            raise ModelLoadFailed(model.id, self._crashes.reason(model.id))

    def _release(self, resident: Resident) -> None:
        resident.let_go()
        if resident.users == 0 and resident.state is ModelState.LOADING:
            resident.stop_loading()
        if self._residents.get(resident.model.id) is resident:
            self._rest(resident)
            self._tell(resident)
        limit = self._settings.current.max_loaded_models
        if len(self._residents) > limit:
            self._spawn(self._make_room(limit))

    def _rest(self, resident: Resident) -> None:
        """Nobody may need it any more: from now on its time runs."""
        settings = effective_settings(resident.model.id, self._settings.current)
        usual = FOREVER if resident.model.id in self._kept else settings.keep_alive_s
        seconds = usual if resident.keep_alive_s is None else resident.keep_alive_s
        if not resident.idle or seconds < 0 or is_pinned(resident.model.id, settings):
            return
        if seconds == 0:
            self._spawn(self._end_if_idle(resident))
        else:
            resident.unload_at = self._keep_alive.begin(resident.model.id, seconds, partial(self._expire, resident))

    def _expire(self, resident: Resident) -> None:
        if resident.idle and not is_pinned(resident.model.id, self._settings.current):
            _log.info("%s was idle for long and is unloaded", resident.model.id)
            self._spawn(self._end_if_idle(resident))

    # -------------------------------------------------------------------------------------------------------- in and out
    def _begin(self, resident: Resident) -> Resident:
        self._failures.pop(resident.model.id, None)
        self._residents[resident.model.id] = resident
        resident.loading = self._spawn(self._load(resident))
        resident.loading.add_done_callback(partial(self._on_loaded, resident))
        return resident

    async def _load(self, resident: Resident) -> ModelInUse:
        try:
            async with self._loading:
                source = await self._chosen_template(resident)
                await self._make_room(self._settings.current.max_loaded_models, but_not=resident)
                config = await self._make_memory(resident)
                client = await self._launcher.launch(config, on_progress=partial(self._on_progress, resident))
        except ModelLoadFailed as error:
            raise error.of(resident.model.id) from error
        try:
            # Half a second for some templates: not on the loop.
            info = client.info if source is None else replace(client.info, chat_template=source)
            chat_format = await asyncio.to_thread(self._make_format, info)
            if chat_format.problem is not None:
                _log.warning("%s: %s", resident.model.id, chat_format.problem)
            return ModelInUse(resident.model, client, chat_format)
        except BaseException:
            await client.close()
            raise

    async def _chosen_template(self, resident: Resident) -> str | None:
        if not resident.template:
            return None
        return await asyncio.to_thread(chat_template, resident.model.id, resident.template)

    def _on_progress(self, resident: Resident, fraction: float) -> None:
        if fraction - resident.progress >= _PROGRESS_STEP:
            resident.progress = fraction
            self._tell(resident)

    def _on_loaded(self, resident: Resident, loading: asyncio.Task[ModelInUse]) -> None:
        """However the loading ended, everyone who waits for it hears of it here."""
        error = EngineStopped("The loading was stopped.") if loading.cancelled() else loading.exception()
        if error is None:
            resident.become_ready(loading.result())
            self._tell(resident)
            self._spawn(self._watch(resident))
            return
        resident.ready.set_exception(error)
        # Marks it as seen: perhaps nobody waits any more.
        resident.ready.exception()
        if isinstance(error, EngineStopped):
            self._forget(resident)
        else:
            reason = error.reason if isinstance(error, ModelLoadFailed) else str(error)
            _log.warning("%s can't be loaded: %s", resident.model.id, reason, exc_info=error)
            self._forget(resident, _failure(resident, reason))

    async def _watch(self, resident: Resident) -> None:
        """Notice the end of an engine that ends by itself."""
        client = resident.in_use.client
        await client.wait_closed()
        if client.crashed:
            self._on_crash(resident)
            await client.close()

    def _on_crash(self, resident: Resident) -> None:
        if self._residents.get(resident.model.id) is not resident:
            return
        self._crashes.add(resident.model.id)
        reason = self._crashes.reason(resident.model.id)
        _log.error("The process of %s stopped unexpectedly", resident.model.id)
        self._forget(resident, _failure(resident, reason))

    def _unload_removed(self, models: tuple[InstalledModel, ...]) -> None:
        """What is gone from the list can't be asked for any more: once idle, it must not keep memory and disk."""
        listed = {model.id for model in models}
        for resident in self._residents.values():
            if resident.idle and resident.model.id not in listed:
                self._spawn(self._end_if_idle(resident))

    async def _make_room(self, limit: int, *, but_not: Resident | None = None) -> None:
        """Unload idle models, least recently used first, until no more than `limit` are in memory, or none is idle."""
        while len(self._residents) > limit:
            leaving = [one for one in self._others(but_not) if one.state is ModelState.UNLOADING]
            idle = self._evictable(but_not)
            if not leaving and not idle:
                return
            await self._end(leaving[0] if leaving else idle[0])

    async def _make_memory(self, resident: Resident) -> EngineConfig:
        """Unload idle models, least recently used first, while that gives this one what it lacks; return how to load it."""
        while True:
            config = self._room.config(resident.launch_config, self._others(resident))
            idle = self._evictable(resident)
            if not idle:
                return config
            try:
                plan = (await self._launcher.survey(config)).plan
            except ModelLoadFailed:
                # The load itself says why.
                return config
            if plan is None or not self._room.is_worth_evicting(plan, idle):
                return config
            _log.info("%s makes room for %s", idle[0].model.id, resident.model.id)
            await self._end(idle[0])

    def _others(self, resident: Resident | None) -> list[Resident]:
        return [one for one in self._residents.values() if one is not resident]

    def _evictable(self, but_not: Resident | None) -> list[Resident]:
        """Idle models that may go, the least recently used first."""
        settings = self._settings.current
        idle = [one for one in self._others(but_not) if one.idle and not is_pinned(one.model.id, settings)]
        return sorted(idle, key=lambda one: one.last_used)

    async def _end_if_idle(self, resident: Resident) -> None:
        """Somebody may have come since this was decided."""
        if resident.idle:
            await self._end(resident)

    async def _end(self, resident: Resident) -> None:
        """Stop the loading, or unload; return when it is gone. Whoever is cancelled here does not stop it."""
        match resident.state:
            case ModelState.LOADING:
                if resident.stop_loading():
                    self._tell(resident)
                else:
                    # It has just ended: `_on_loaded` comes next, then what is ready can be unloaded.
                    await asyncio.sleep(0)
                    await self._end(resident)
            case ModelState.READY:
                resident.state, resident.unload_at = ModelState.UNLOADING, None
                self._keep_alive.stop(resident.model.id)
                self._tell(resident)
                self._spawn(self._unload(resident))
        await resident.gone.wait()

    async def _unload(self, resident: Resident) -> None:
        try:
            await resident.in_use.client.close()
        finally:
            self._forget(resident)

    def _forget(self, resident: Resident, failure: LoadedModel | None = None) -> None:
        model_id = resident.model.id
        resident.leave()
        if self._residents.get(model_id) is resident:
            del self._residents[model_id]
            self._keep_alive.stop(model_id)
            if failure is not None:
                self._failures[model_id] = failure
            self.changed.notify(self.state(model_id))

    def _tell(self, resident: Resident) -> None:
        self.changed.notify(resident.snapshot)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _failure(resident: Resident, reason: str) -> LoadedModel:
    """What stays of a model that is not there; `reason` becomes a sentence of its own."""
    return LoadedModel(resident.model.id, ModelState.FAILED, error=reason[:1].upper() + reason[1:])


def _format_of(info: ModelInfo) -> ChatFormat:
    return ChatFormat.of(info.chat_template, bos_text=info.bos_text, eos_text=info.eos_text)
