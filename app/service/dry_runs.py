"""Plans by dry runs of outlines, many by one worker."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from app.domain.errors import AppError, EngineStopped, ModelLoadFailed, NotAModel
from app.domain.memory import Device, MemoryPlan
from app.engine.client import EngineLauncher
from app.engine.protocol import EngineConfig, Surveyed
from app.library.outline import fill_with_zeros
from app.library.undisturbed import undisturbed

__all__ = ["DryRuns"]

_HOLDS_S = 5.0


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    outline: Path
    config: EngineConfig
    answer: asyncio.Future[MemoryPlan]


class DryRuns:
    """Asks one worker after the other, each for everything that has come up since the last began. Owned by the service loop.

    An answer holds for some seconds, or until `forget`.
    """

    def __init__(
        self,
        launcher: EngineLauncher,
        on_devices: Callable[[tuple[Device, ...]], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_devices` hears what devices there are, and what is free of them, with each answer."""
        self._launcher = launcher
        self._on_devices = on_devices
        self._clock = clock
        self._waiting: list[_Question] = []
        self._asking: asyncio.Task[None] | None = None
        self._known: dict[tuple[str, Path, EngineConfig], tuple[float, asyncio.Future[MemoryPlan]]] = {}

    async def plan(self, name: str, outline: Path, config: EngineConfig) -> MemoryPlan:
        """How a model would be loaded whose outline this is, whether it fits or not. Raises ModelLoadFailed for `name`."""
        now, key = self._clock(), (name, outline, config)
        self._known = {known: entry for known, entry in self._known.items() if now - entry[0] < _HOLDS_S}
        if key not in self._known:
            self._known[key] = (now, self._asked(name, outline, config))
        # Shielded: others may wait for the same.
        return await asyncio.shield(self._known[key][1])

    def forget(self) -> None:
        """What is free has changed."""
        self._known.clear()

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        self._fail(self._waiting, EngineStopped("The program is closing."))

    def _asked(self, name: str, outline: Path, config: EngineConfig) -> asyncio.Future[MemoryPlan]:
        answer: asyncio.Future[MemoryPlan] = asyncio.get_running_loop().create_future()
        # Marks an error as seen: perhaps nobody waits any more.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting.append(_Question(name, outline, config, answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return answer

    async def _ask(self) -> None:
        while self._waiting:
            questions, self._waiting = self._waiting, []
            try:
                with tempfile.TemporaryDirectory(prefix="hearth-fit-", ignore_cleanup_errors=True) as folder:
                    await self._ask_all(await undisturbed(self._prepared, questions, Path(folder)))
            except OSError as error:
                reason = f"what it would take can't be told: the temporary folder can't be used ({error.strerror or error})."
                for question in questions:
                    self._fail([question], ModelLoadFailed(question.name, reason))
            finally:
                self._fail(questions, EngineStopped("The program is closing."))

    async def _ask_all(self, prepared: Sequence[tuple[_Question, EngineConfig | ModelLoadFailed]]) -> None:
        asked: list[tuple[_Question, EngineConfig]] = []
        for question, config in prepared:
            if isinstance(config, ModelLoadFailed):
                self._fail([question], config)
            else:
                asked.append((question, config))
        async with aclosing(self._launcher.surveys(config for _, config in asked)) as answers:
            at = 0
            async for answer in answers:
                self._take(asked[at][0], answer)
                at += 1

    def _take(self, question: _Question, answer: Surveyed | ModelLoadFailed) -> None:
        if isinstance(answer, ModelLoadFailed):
            self._fail([question], answer.of(question.name))
            return
        self._on_devices(answer.devices)
        if answer.plan is None:
            self._fail([question], ModelLoadFailed(question.name, "llama.cpp does not say what it would take."))
        else:
            question.answer.set_result(answer.plan)

    @staticmethod
    def _prepared(questions: Sequence[_Question], folder: Path) -> list[tuple[_Question, EngineConfig | ModelLoadFailed]]:
        """The same for files as large as the models."""
        return [(question, _config(question, folder / f"{number}.gguf")) for number, question in enumerate(questions)]

    @staticmethod
    def _fail(questions: Sequence[_Question], error: AppError) -> None:
        for question in questions:
            if not question.answer.done():
                question.answer.set_exception(error)


def _config(question: _Question, target: Path) -> EngineConfig | ModelLoadFailed:
    try:
        fill_with_zeros(question.outline, target)
    except NotAModel as error:
        return ModelLoadFailed(question.name, error.reason)
    except OSError as error:
        reason = f"what it would take can't be told: {error.filename or target} can't be made ({error.strerror or error})."
        return ModelLoadFailed(question.name, reason)
    return replace(question.config, model_path=target)
