"""Plans by dry runs of outlines, many by one worker."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
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
_LINGERS_S = 1.0


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    outline: Path
    config: EngineConfig
    answer: asyncio.Future[MemoryPlan]


class DryRuns:
    """Asks a worker that stays for as long as there are questions, and a second more. Owned by the service loop.

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
        self._waiting: deque[_Question] = deque()
        self._current: _Question | None = None
        self._came = asyncio.Event()
        self._resting = False
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

    def rest(self) -> None:
        """Wait for no more questions: an idle worker too holds some of a graphics card."""
        self._resting = True
        self._came.set()

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        for question in self._waiting:
            self._fail(question, EngineStopped("The program is closing."))
        self._waiting.clear()

    def _asked(self, name: str, outline: Path, config: EngineConfig) -> asyncio.Future[MemoryPlan]:
        answer: asyncio.Future[MemoryPlan] = asyncio.get_running_loop().create_future()
        # Marks an error as seen: perhaps nobody waits any more.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting.append(_Question(name, outline, config, answer))
        self._resting = False
        self._came.set()
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return answer

    async def _ask(self) -> None:
        while self._waiting:
            try:
                folder = Path(await undisturbed(tempfile.mkdtemp, prefix="hearth-fit-"))
                try:
                    await self._ask_one_worker(folder)
                finally:
                    await undisturbed(shutil.rmtree, folder, ignore_errors=True)
            except OSError as error:
                reason = f"what it would take can't be told: the temporary folder can't be used ({error.strerror or error})."
                while self._waiting:
                    question = self._waiting.popleft()
                    self._fail(question, ModelLoadFailed(question.name, reason))
            finally:
                if self._current is not None:
                    self._fail(self._current, EngineStopped("The program is closing."))

    async def _ask_one_worker(self, folder: Path) -> None:
        configs = self._configs(folder)
        async with aclosing(configs), aclosing(self._launcher.surveys(configs)) as answers:
            async for answer in answers:
                question, self._current = self._current, None
                if question is not None:
                    self._take(question, answer)

    async def _configs(self, folder: Path) -> AsyncGenerator[EngineConfig, None]:
        """How to load what is asked for, with files as large as the models, until nothing more comes."""
        for number in itertools.count():
            if not await self._more():
                return
            question = self._current = self._waiting.popleft()
            target = folder / f"{number}.gguf"
            config = await undisturbed(_config, question, target)
            if isinstance(config, ModelLoadFailed):
                self._current = None
                self._fail(question, config)
                continue
            yield config
            await undisturbed(_remove, target)

    async def _more(self) -> bool:
        """Whether there is another question, or soon is: who looks for the right context asks many in turn."""
        self._came.clear()
        if not self._waiting and not self._resting:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), _LINGERS_S)
        return bool(self._waiting)

    def _take(self, question: _Question, answer: Surveyed | ModelLoadFailed) -> None:
        if isinstance(answer, ModelLoadFailed):
            self._fail(question, answer.of(question.name))
            return
        self._on_devices(answer.devices)
        if answer.plan is None:
            self._fail(question, ModelLoadFailed(question.name, "llama.cpp does not say what it would take."))
        else:
            question.answer.set_result(answer.plan)

    @staticmethod
    def _fail(question: _Question, error: AppError) -> None:
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


def _remove(target: Path) -> None:
    # What a system won't let go of is removed with the folder.
    with contextlib.suppress(OSError):
        target.unlink()
