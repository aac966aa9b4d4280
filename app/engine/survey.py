"""Asking a short-lived worker about this computer: its devices, and how a model would be loaded.

llama.cpp is never loaded into the program itself, so this takes the half second that a process takes to start; of several
questions the later ones take some milliseconds each.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence

from app.domain.errors import AppError, ModelLoadFailed
from app.engine.protocol import EngineConfig, Frame, LoadFailed, Survey, Surveyed
from app.engine.worker_process import WorkerProcess, worker_command

__all__ = ["survey", "surveys"]

_LONGEST_S = 60.0


async def survey(config: EngineConfig | None, *, command: Sequence[str] | None = None) -> Surveyed:
    """`config` None asks for the devices alone. Raises ModelLoadFailed for a file that can't be loaded in any case."""
    inquiry = _begin(command, config)
    try:
        return await inquiry.ask(config)
    finally:
        await inquiry.close()


async def surveys(
    configs: AsyncIterable[EngineConfig], *, command: Sequence[str] | None = None
) -> AsyncGenerator[Surveyed | ModelLoadFailed, None]:
    """What `survey` says of each, in order, or raises; each is asked for when the one before is answered.

    One worker answers all, unless a file ends it. Never raises itself.
    """
    inquiry: _Inquiry | None = None
    try:
        async for config in configs:
            answer: Surveyed | ModelLoadFailed
            try:
                inquiry = inquiry or _begin(command, config)
                answer = await inquiry.ask(config)
            except ModelLoadFailed as error:
                answer = error
                if inquiry is not None and not inquiry.alive:
                    await inquiry.close()
                    inquiry = None
            yield answer
    finally:
        if inquiry is not None:
            await inquiry.close()


def _begin(command: Sequence[str] | None, config: EngineConfig | None) -> _Inquiry:
    try:
        return _Inquiry(command or worker_command())
    except OSError as error:
        reason = f"its process can't be started ({error.strerror or error})."
        raise ModelLoadFailed(_name_of(config), reason) from error


def _name_of(config: EngineConfig | None) -> str:
    return config.model_path.name if config is not None else "llama.cpp"


class _Inquiry:
    """One worker, one question at a time. On the loop that made it."""

    def __init__(self, command: Sequence[str]) -> None:
        """Raises OSError if the process can't be started."""
        self._name = ""
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Surveyed] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._worker = WorkerProcess(
            command,
            on_frame=lambda frame: self._on_loop(lambda: self._take(frame)),
            on_end=lambda _exit_code: self._on_loop(self._take_end),
        )

    @property
    def alive(self) -> bool:
        """Whether it can be asked again."""
        return not self._ended.is_set()

    async def ask(self, config: EngineConfig | None) -> Surveyed:
        """Raises ModelLoadFailed."""
        self._name = _name_of(config)
        self._answer = self._loop.create_future()
        if not self.alive:
            self._take_end()
        self._worker.send(Survey(config.absolute() if config is not None else None))
        try:
            return await asyncio.wait_for(self._answer, _LONGEST_S)
        except TimeoutError as error:
            await self.close()
            raise ModelLoadFailed(self._name, "llama.cpp took too long to look at it.") from error

    async def close(self) -> None:
        self._worker.kill()
        await self._ended.wait()
        self._worker.join()

    def _take(self, frame: Frame) -> None:
        match frame:
            case (Surveyed() as answer,):
                self._settle(answer)
            case (LoadFailed(error),):
                self._settle(error)

    def _take_end(self) -> None:
        self._settle(ModelLoadFailed(self._name, "llama.cpp gave up on it and ended.", log_tail=self._worker.log_tail))
        self._ended.set()

    def _settle(self, answer: Surveyed | AppError) -> None:
        if self._answer.done():
            return
        if isinstance(answer, Surveyed):
            self._answer.set_result(answer)
        else:
            self._answer.set_exception(answer)

    def _on_loop(self, call: Callable[[], None]) -> None:
        # RuntimeError: the loop was closed meanwhile, so nobody listens.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)
