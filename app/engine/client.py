"""The one door to a loaded model. Above it nothing knows whether the engine is a process or a thread."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Protocol, TypeAlias

from app.domain.errors import ModelLoadFailed
from app.domain.generation import EmbeddingResult, RerankResult, Truncation
from app.domain.prompt import PromptSegment
from app.domain.stats import EngineStats
from app.engine.protocol import (
    Done,
    EngineConfig,
    GenerateJob,
    ModelInfo,
    PromptProgress,
    Surveyed,
    Tokens,
)

__all__ = ["EngineClient", "EngineLauncher", "EngineOutput"]

EngineOutput: TypeAlias = PromptProgress | Tokens | Done


class EngineClient(Protocol):
    """A loaded model. Owned by the service loop: every method is called there."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def pid(self) -> int | None:
        """The worker's process id; None when the engine runs on a thread."""
        ...

    def generate(self, job: GenerateJob) -> AsyncGenerator[EngineOutput, None]:
        """Run a job; the last event is `Done`. Closing the generator early cancels the job in the engine.

        Raises RequestError for a job that can't be run, EngineBusy, GenerationFailed, EngineCrashed or EngineStopped.
        """
        ...

    @property
    def crowded(self) -> bool:
        """Whether another job would be refused: asked before anybody prepares one."""
        ...

    def finish(self, job_id: str) -> None:
        """End a running job as if the model had stopped there; its `Done` still comes. Nothing happens if it has ended."""
        ...

    def forget(self, owner: str) -> None:
        """Keep nothing of what was computed for a conversation."""
        ...

    @property
    def stats(self) -> EngineStats:
        """As of a second ago at most."""
        ...

    async def embed(
        self, inputs: tuple[str | tuple[int, ...], ...], *, truncation: Truncation = Truncation.NONE
    ) -> EmbeddingResult:
        """Raises ContextOverflow, naming the input, for one that is too long and must not be cut."""
        ...

    async def rerank(self, query: str, documents: tuple[str, ...], *, truncation: Truncation = Truncation.NONE) -> RerankResult:
        """Raises ContextOverflow, naming the document, as `embed` does; or the query, if that alone is too long."""
        ...

    async def tokenize(self, prompt: tuple[PromptSegment, ...], *, add_special: bool = False) -> tuple[int, ...]: ...

    async def detokenize(self, ids: tuple[int, ...]) -> str: ...

    async def pieces(self, ids: tuple[int, ...]) -> tuple[bytes, ...]:
        """What each token stands for, control tokens spelled out; a character may be spread over several."""
        ...

    async def wait_closed(self) -> None:
        """Return once the engine has ended, by `close` or by itself."""
        ...

    @property
    def crashed(self) -> bool:
        """Whether it ended by itself."""
        ...

    async def close(self) -> None:
        """Fail what runs with EngineStopped and free everything. Safe to call twice."""
        ...


class EngineLauncher(Protocol):
    """Loads models."""

    async def launch(self, config: EngineConfig, *, on_progress: Callable[[float], None]) -> EngineClient:
        """Load a model. `on_progress` is called on the service loop with 0 … 1. Cancelling the call stops the loading.

        Raises ModelLoadFailed.
        """
        ...

    async def survey(self, config: EngineConfig | None) -> Surveyed:
        """The devices, and how `config` would be loaded now, whether it fits or not. Takes half a second or more.

        Raises ModelLoadFailed for a file that can't be loaded in any case.
        """
        ...

    def surveys(self, configs: AsyncIterable[EngineConfig]) -> AsyncGenerator[Surveyed | ModelLoadFailed, None]:
        """What `survey` says of each, in order, or raises: of many in little more time than of one."""
        ...
