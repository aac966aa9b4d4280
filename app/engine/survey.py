"""Asking a short-lived worker about this computer: its devices, and how a model would be loaded.

llama.cpp is never loaded into the program itself, so this takes the half second that a process takes to start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from app.domain.errors import AppError, ModelLoadFailed
from app.engine.protocol import EngineConfig, Frame, LoadFailed, Survey, Surveyed
from app.engine.worker_process import WorkerProcess, worker_command

__all__ = ["survey"]

_LONGEST_S = 60.0


async def survey(config: EngineConfig | None, *, command: Sequence[str] | None = None) -> Surveyed:
    """`config` None asks for the devices alone. Raises ModelLoadFailed for a file that can't be loaded in any case."""
    name = config.model_path.name if config is not None else "llama.cpp"
    try:
        inquiry = _Inquiry(command or worker_command(), name)
    except OSError as error:
        raise ModelLoadFailed(name, f"its process can't be started ({error.strerror or error}).") from error
    try:
        return await asyncio.wait_for(inquiry.ask(config), _LONGEST_S)
    except TimeoutError as error:
        raise ModelLoadFailed(name, "llama.cpp took too long to look at it.") from error
    finally:
        await inquiry.close()


class _Inquiry:
    """One worker, one question. On the loop that made it."""

    def __init__(self, command: Sequence[str], name: str) -> None:
        """Raises OSError if the process can't be started."""
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Surveyed] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._worker = WorkerProcess(
            command,
            on_frame=lambda frame: self._on_loop(lambda: self._take(frame)),
            on_end=lambda _exit_code: self._on_loop(self._take_end),
        )

    async def ask(self, config: EngineConfig | None) -> Surveyed:
        self._worker.send(Survey(config.absolute() if config is not None else None))
        return await self._answer

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
