"""Whether models fit: those on this disk and those that are still on the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from app.domain.errors import AppError, ModelLoadFailed, NotAModel
from app.domain.fit import Fit, FitVerdict
from app.domain.memory import HOST, Device, MemoryPlan
from app.domain.models import InstalledModel, LoadedModel, ModelSource, ModelState, RemoteFile, RemoteRepository
from app.domain.observable import Observable
from app.engine.client import EngineLauncher
from app.engine.host_memory import host_memory
from app.engine.memory_plan import margin_of
from app.engine.protocol import EngineConfig
from app.library.assemble import assemble
from app.library.gguf import read_header
from app.library.headers import GgufFile
from app.library.hub_listing import projector_for
from app.library.library import ModelLibrary
from app.library.names import shard_of
from app.library.outlines import Outlines
from app.library.remote_header import RemoteHeaders
from app.service.dry_runs import DryRuns
from app.service.memory_room import MemoryRoom
from app.service.model_config import check_context, engine_config
from app.service.models import ModelManager
from app.settings import Settings, SettingsStore

__all__ = ["FitService"]

_GIB: Final = 1024**3
_MIB: Final = 1024**2
_SETTLE_S: Final = 1.0
# How often the free memory is looked at, and a change that may change an answer.
_LOOK_S: Final = 15.0
_CHANGE: Final = 0.04
# From a file's size alone: an 8B model's context of 8,192 cells takes a fifth of its Q4_K_M, and small ones more than large.
_USUAL_CTX: Final = 8192
_CONTEXT_SHARE: Final = 0.2
_COMPUTE_BYTES: Final = 320 * _MIB
# Fewer layers than these are no help.
_WORTHWHILE: Final = 0.1
_UNQUANTIZED: Final = frozenset({"F16", "BF16", "F32"})
_BEST_FIRST: Final = (FitVerdict.GPU, FitVerdict.PARTLY, FitVerdict.MEMORY, FitVerdict.TOO_LARGE)


class FitService:
    """Every front end asks here, and a load makes the same plan. Owned by the service loop."""

    def __init__(
        self,
        library: ModelLibrary,
        models: ModelManager,
        launcher: EngineLauncher,
        settings: SettingsStore,
        headers: RemoteHeaders,
        outlines: Outlines,
    ) -> None:
        self.changed: Observable[None] = Observable()
        self._library = library
        self._models = models
        self._launcher = launcher
        self._settings = settings
        self._headers = headers
        self._outlines = outlines
        self._room = MemoryRoom(settings)
        self._runs = DryRuns(launcher, self._take_devices)
        self._devices: tuple[Device, ...] = ()
        self._looking = asyncio.Lock()
        self._settling: asyncio.TimerHandle | None = None
        self._told = self._held()
        self._unsubscribe = (models.changed.subscribe(self._on_model), settings.changed.subscribe(self._on_settings))
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        if self._settling is not None:
            self._settling.cancel()
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self._runs.close()

    async def installed(self, model_id: str, *, n_ctx: int | None = None) -> Fit:
        """With its own settings, or a context of `n_ctx` cells; 0 is as many as there is room for.

        Raises ModelNotFound, ModelLoadFailed, and InvalidRequest for a context it was not made for.
        """
        model = await self._library.find(model_id)
        if model.problem is not None:
            raise ModelLoadFailed(model.id, model.problem)
        try:
            outline = await asyncio.to_thread(self._outlines.of_model, model.path)
        except NotAModel as error:
            raise ModelLoadFailed(model.id, error.reason) from error
        except OSError as error:
            raise _unkept(model.id, error) from error
        return Fit.of(await self._plan(model, outline, n_ctx))

    async def remote(
        self, repository: RemoteRepository, file: RemoteFile, projector: RemoteFile | None = None, *, n_ctx: int | None = None
    ) -> Fit:
        """Before it is downloaded: its header is read over the network, once.

        Raises the DownloadError that is in the way, ModelLoadFailed, and InvalidRequest as `installed` does.
        """
        try:
            outline = await self._headers.outline(repository, file)
            eyes = await self._headers.outline(repository, projector) if projector is not None else None
            model = await asyncio.to_thread(_downloaded, file, outline.path, eyes.path if eyes is not None else None)
        except NotAModel as error:
            raise ModelLoadFailed(file.label, error.reason) from error
        except OSError as error:
            raise _unkept(file.label, error) from error
        plan = await self._plan(model, outline.path, n_ctx)
        return Fit.of(plan, estimated=outline.estimated or (eyes is not None and eyes.estimated))

    async def recommended(self, repository: RemoteRepository) -> RemoteFile | None:
        """The largest quantization that this computer runs as well as any; None if none fits, or nothing can be told.

        Unquantized files only where there are no others.
        """
        quantized = [file for file in repository.models if file.quantization.upper() not in _UNQUANTIZED]
        files = quantized or list(repository.models)
        fits = await asyncio.gather(
            *(self.remote(repository, file, projector_for(repository, file)) for file in files), return_exceptions=True
        )
        best: tuple[int, bool, int, RemoteFile] | None = None
        for file, fit in zip(files, fits, strict=True):
            if isinstance(fit, AppError) or (isinstance(fit, Fit) and fit.verdict is FitVerdict.TOO_LARGE):
                continue
            if isinstance(fit, BaseException):
                raise fit
            rank = (-_BEST_FIRST.index(fit.verdict), fit.plan.n_ctx >= fit.plan.wanted_ctx, file.size_bytes)
            if best is None or rank > best[:3]:
                best = (*rank, file)
        return best[3] if best is not None else None

    async def rough(self, size_bytes: int, n_ctx_train: int = 0) -> FitVerdict:
        """From a file's size alone, for lists. Raises ModelLoadFailed if nobody can say what memory there is."""
        settings = self._settings.current
        cells = min(n_ctx_train or _USUAL_CTX, settings.n_ctx or _USUAL_CTX)
        needed = round(size_bytes * (1 + _CONTEXT_SHARE * cells / _USUAL_CTX)) + min(size_bytes, _COMPUTE_BYTES)
        gpus, whole = self._rooms(await self._known_devices(), settings)
        if needed > whole:
            return FitVerdict.TOO_LARGE
        if needed <= gpus:
            return FitVerdict.GPU
        return FitVerdict.PARTLY if gpus > _WORTHWHILE * needed else FitVerdict.MEMORY

    # ------------------------------------------------------------------------------------------------------------ plans
    async def _plan(self, model: InstalledModel, outline: Path, n_ctx: int | None) -> MemoryPlan:
        """As `ModelManager` would load it, without what it would unload for it."""
        config = engine_config(model, self._settings.current)
        if n_ctx is not None:
            check_context(model, config, n_ctx)
            config = replace(config, n_ctx=n_ctx)
        neighbours = self._models.neighbours(model.id)
        leaving, idle = list(neighbours.leaving), list(neighbours.idle)
        while True:
            run = self._room.config(config, (*neighbours.staying, *idle), leaving=leaving)
            plan = await self._runs.plan(model.id, outline, run)
            if not idle or not self._room.is_worth_evicting(plan, idle):
                return plan
            leaving.append(idle.pop(0))

    def _rooms(self, devices: Iterable[Device], settings: Settings) -> tuple[int, int]:
        """What the GPUs hold, and what all devices together do."""
        neighbours = self._models.neighbours("")
        config = EngineConfig(Path(), devices=settings.devices)
        config = self._room.config(config, neighbours.staying, leaving=(*neighbours.idle, *neighbours.leaving))
        returned = dict(config.memory_returned)
        rooms = {
            device: max(0, device.free_bytes + returned.get(device.name, 0) - margin_of(device))
            for device in devices
            if device.name == HOST or (device.is_gpu and (not settings.devices or device.name in settings.devices))
        }
        host = sum(room for device, room in rooms.items() if device.name == HOST) - config.memory_reserved_bytes
        gpus = sum(room for device, room in rooms.items() if device.name != HOST) if settings.gpu_layers != 0 else 0
        shared = any(device.shares_host_memory for device in rooms)
        whole = max(gpus, host) if shared else gpus + host
        limit = config.memory_limit_bytes or whole
        return min(gpus, limit), min(whole, limit)

    # ------------------------------------------------------------------------------------------------- what there is
    async def _known_devices(self) -> tuple[Device, ...]:
        async with self._looking:
            if not self._devices:
                self._devices = (await self._launcher.survey(None)).devices
        return self._devices

    def _take_devices(self, devices: tuple[Device, ...]) -> None:
        self._devices = devices

    def _on_model(self, model: LoadedModel) -> None:
        if model.state is ModelState.LOADING:
            self._runs.rest()
        if model.state is not ModelState.READY:
            self._runs.forget()
        if self._settling is None:
            # Answers come and go; who looks on need not hear of each.
            self._settling = asyncio.get_running_loop().call_later(_SETTLE_S, self._settle)

    def _settle(self) -> None:
        self._settling = None
        held = self._held()
        if held != self._told:
            self._told = held
            self._tell()

    def _held(self) -> frozenset[tuple[str, bool]]:
        """Models that take memory, and whether they would make room."""
        ready = (model for model in self._models.loaded if model.state is ModelState.READY)
        return frozenset((model.id, model.active_requests == 0) for model in ready)

    def _on_settings(self, _settings: Settings) -> None:
        self._tell()

    def _tell(self) -> None:
        self._devices = ()
        self._runs.forget()
        self.changed.notify(None)

    async def _watch(self) -> None:
        """Other programs take and leave memory too."""
        told = await asyncio.to_thread(host_memory)
        while True:
            await asyncio.sleep(_LOOK_S)
            now = await asyncio.to_thread(host_memory)
            if abs(now.free_bytes - told.free_bytes) > _CHANGE * now.total_bytes:
                told = now
                self._tell()


def _downloaded(file: RemoteFile, outline: Path, projector: Path | None) -> InstalledModel:
    """What the library will list once it is there. Raises NotAModel."""
    header = read_header(outline)
    stem = PurePosixPath(file.label).stem
    shard = shard_of(stem)
    (model, *_) = assemble([GgufFile(outline, file.size_bytes, 0.0, header, None)])
    listed = model.model(shard.stem if shard else stem, ModelSource.LIBRARY)
    return replace(listed, projector=projector)


def _unkept(name: str, error: OSError) -> ModelLoadFailed:
    return ModelLoadFailed(name, f"what it would take can't be told: {error.filename} can't be written ({error.strerror}).")
