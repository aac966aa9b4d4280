"""Plans by dry runs of outlines, many by one worker."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from app.domain.errors import AppError, EngineStopped, ModelLoadFailed
from app.domain.memory import Device, MemoryPlan
from app.engine.client import EngineLauncher
from app.engine.protocol import EngineConfig
from app.library.outline import fill_with_zeros
from app.library.undisturbed import undisturbed

__all__ = ["DryRuns"]


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    outline: Path
    config: EngineConfig
    answer: asyncio.Future[MemoryPlan]


class DryRuns:
    """Asks one worker after the other, each for everything that has come up since the last began. Owned by the service loop."""

    def __init__(self, launcher: EngineLauncher, on_devices: Callable[[tuple[Device, ...]], None]) -> None:
        """`on_devices` hears what devices there are, and what is free of them, with each answer."""
        self._launcher = launcher
        self._on_devices = on_devices
        self._waiting: list[_Question] = []
        self._asking: asyncio.Task[None] | None = None

    async def plan(self, name: str, outline: Path, config: EngineConfig) -> MemoryPlan:
        """How a model would be loaded whose outline this is, whether it fits or not. Raises ModelLoadFailed for `name`."""
        question = _Question(name, outline, config, asyncio.get_running_loop().create_future())
        self._waiting.append(question)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await question.answer

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        self._fail(self._waiting, EngineStopped("The program is closing."))

    async def _ask(self) -> None:
        while self._waiting:
            questions, self._waiting = self._waiting, []
            try:
                await self._ask_all([question for question in questions if not question.answer.done()])
            except OSError as error:
                reason = f"what it would take can't be told without room in the temporary folder ({error.strerror or error})."
                for question in questions:
                    self._fail([question], ModelLoadFailed(question.name, reason))
            finally:
                self._fail(questions, EngineStopped("The program is closing."))

    async def _ask_all(self, questions: Sequence[_Question]) -> None:
        """Raises OSError if the files can't be made."""
        with tempfile.TemporaryDirectory(prefix="hearth-fit-", ignore_cleanup_errors=True) as folder:
            configs = await undisturbed(_prepared, questions, Path(folder))
            async with aclosing(self._launcher.surveys(configs)) as answers:
                at = 0
                async for answer in answers:
                    question = questions[at]
                    at += 1
                    if isinstance(answer, ModelLoadFailed):
                        self._fail([question], answer.of(question.name))
                        continue
                    self._on_devices(answer.devices)
                    if answer.plan is None:
                        reason = "llama.cpp does not say what it would take."
                        self._fail([question], ModelLoadFailed(question.name, reason))
                    elif not question.answer.done():
                        question.answer.set_result(answer.plan)

    @staticmethod
    def _fail(questions: Sequence[_Question], error: AppError) -> None:
        for question in questions:
            if not question.answer.done():
                question.answer.set_exception(error)


def _prepared(questions: Sequence[_Question], folder: Path) -> list[EngineConfig]:
    """The same for files as large as the models."""
    configs = []
    for number, question in enumerate(questions):
        target = folder / f"{number}.gguf"
        fill_with_zeros(question.outline, target)
        configs.append(replace(question.config, model_path=target))
    return configs
