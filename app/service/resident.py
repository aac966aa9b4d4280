"""One model's stay in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.domain.generation import ReasoningChoice, SamplingChoice, SamplingParams
from app.domain.memory import HOST
from app.domain.models import InstalledModel, LoadedModel, ModelState
from app.engine.client import EngineClient
from app.engine.protocol import EngineConfig
from app.formats.chat_format import ChatFormat

__all__ = ["ModelInUse", "Resident"]


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """A model that stays loaded for as long as it is held."""

    model: InstalledModel
    client: EngineClient
    format: ChatFormat
    # What is meant where a request does not say.
    reasoning: ReasoningChoice = field(default_factory=ReasoningChoice)
    sampling: SamplingChoice = field(default_factory=SamplingChoice)
    system_prompt: str = ""

    def sampling_of(self, asked: SamplingChoice) -> SamplingParams:
        """A request's wishes first, then the model's settings, then what it comes with, then what its file recommends."""
        return asked.over(self.sampling.over(self.model.defaults.sampling.over(self.client.info.sampling)))


class Resident:
    """A model on its way into memory, in it, or on its way out. Owned by the service loop."""

    loading: asyncio.Task[ModelInUse]

    def __init__(
        self,
        model: InstalledModel,
        config: EngineConfig,
        template: str = "",
        n_ctx: int = 0,
        *,
        memory_check: bool = True,
    ) -> None:
        """`config` is what the settings say, `n_ctx` the context that a request asks for besides. `template` is the chat
        template that was chosen for it, "" its own. Without `memory_check` it is tried though it should not fit."""
        self.model = model
        self.config = config
        self.template = template
        self.n_ctx = n_ctx
        self._memory_check = memory_check
        self.state = ModelState.LOADING
        self.progress = 0.0
        self.users = 0
        self.last_used = 0
        # What the last user wanted; None leaves it to the settings.
        self.keep_alive_s: float | None = None
        self.unload_at: datetime | None = None
        self.ready: asyncio.Future[ModelInUse] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()
        # Set while nobody holds it, and once it is gone.
        self.free = asyncio.Event()
        # Held by who waits for it to be free because it is too small; those who come later wait behind that one.
        self.outgrown = asyncio.Lock()

    @property
    def launch_config(self) -> EngineConfig:
        config = self.config if self._memory_check else replace(self.config, memory_check=False)
        if config.n_ctx:
            return replace(config, n_ctx=max(config.n_ctx, self.n_ctx))
        return replace(config, least_ctx=self.n_ctx)

    @property
    def in_use(self) -> ModelInUse:
        """Only once it is ready."""
        return self.ready.result()

    @property
    def idle(self) -> bool:
        return self.state is ModelState.READY and self.users == 0

    @property
    def crashed(self) -> bool:
        return self.state is ModelState.READY and self.in_use.client.crashed

    @property
    def is_loaded(self) -> bool:
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    @property
    def memory_bytes(self) -> int:
        """What it takes of all devices; of a model that nothing was planned for at least its weights."""
        if not self.is_loaded:
            return 0
        info = self.in_use.client.info
        return info.memory.total_bytes if info.memory is not None else info.size_bytes

    @property
    def mapped_bytes(self) -> int:
        return self.in_use.client.info.mapped_bytes if self.is_loaded else 0

    def memory_on(self, device: str) -> int:
        memory = self.in_use.client.info.memory if self.is_loaded else None
        need = memory.need_of(device) if memory is not None else None
        return need.total_bytes if need is not None else 0

    @property
    def held(self) -> dict[str, int]:
        """What it holds of each device that the system does not call free."""
        memory = self.in_use.client.info.memory if self.is_loaded else None
        held = {need.device: need.total_bytes for need in memory.needs} if memory is not None else {}
        if HOST in held:
            held[HOST] = max(0, held[HOST] - self.mapped_bytes)
        return held

    def has_room(self, n_ctx: int) -> bool:
        """Whether its context is as long as that; before it is ready, whether it is sure to be."""
        return n_ctx <= self.n_ctx or (self.is_loaded and n_ctx <= self.in_use.client.info.n_ctx)

    def is_of(self, model: InstalledModel, config: EngineConfig, template: str) -> bool:
        """Whether it would be loaded the same way again, from files that have not changed."""
        if (self.config, self.template) != (config, template):
            return False
        return (self.model.modified, self.model.size_bytes) == (
            model.modified,
            model.size_bytes,
        )

    @property
    def snapshot(self) -> LoadedModel:
        if not self.is_loaded:
            return LoadedModel(self.model.id, self.state, self.progress, active_requests=self.users)
        client = self.in_use.client
        return LoadedModel(
            self.model.id,
            self.state,
            1.0,
            client.info.n_ctx,
            self.users,
            client.pid,
            memory_bytes=self.memory_bytes,
            n_gpu_layers=client.info.n_gpu_layers,
            unload_at=self.unload_at,
            stats=client.stats,
            warning=self.in_use.format.problem,
        )

    def hold(self) -> None:
        self.users += 1
        self.free.clear()

    def let_go(self) -> None:
        self.users -= 1
        if not self.users:
            self.free.set()

    def leave(self) -> None:
        """Tell all who wait for its end, or for their turn."""
        self.gone.set()
        self.free.set()

    def stop_loading(self) -> bool:
        """False if the loading has ended already."""
        stopped = self.loading.cancel()
        if stopped:
            self.state = ModelState.UNLOADING
        return stopped

    def become_ready(self, in_use: ModelInUse) -> None:
        self.state = ModelState.READY
        self.progress = 1.0
        self.ready.set_result(in_use)
