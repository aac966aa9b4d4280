"""A loaded model in a worker process of its own: a crash of llama.cpp costs that model's answers, nothing else."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence

from app.domain.errors import EngineCrashed, EngineStopped, ModelLoadFailed
from app.engine.jobs import JobClient
from app.engine.protocol import Command, EngineConfig, Frame, Load, LoadFailed, LoadProgress, Ready, Shutdown, Surveyed
from app.engine.survey import survey, surveys
from app.engine.worker_process import WorkerProcess, worker_command

__all__ = ["ProcessEngineClient", "ProcessLauncher"]

_log = logging.getLogger(__name__)

# A worker ends within one step of being asked; one that does not is killed.
_CLOSE_S = 1.5


class ProcessLauncher:
    """Loads each model into a worker process. `command` starts a worker; by default this same program does."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = tuple(command or worker_command())

    async def launch(self, config: EngineConfig, *, on_progress: Callable[[float], None]) -> ProcessEngineClient:
        try:
            client = ProcessEngineClient(self._command, on_progress=on_progress)
        except OSError as error:
            reason = f"its process can't be started ({error.strerror or error})."
            raise ModelLoadFailed(config.model_path.name, reason) from error
        try:
            await client.load(config)
        except BaseException:  # cancelling included: whatever ends the loading ends the process
            await client.kill()
            raise
        return client

    async def survey(self, config: EngineConfig | None) -> Surveyed:
        return await survey(config, command=self._command)

    def surveys(self, configs: AsyncIterable[EngineConfig]) -> AsyncGenerator[Surveyed | ModelLoadFailed, None]:
        return surveys(configs, command=self._command)


class ProcessEngineClient(JobClient):
    """The program's end of one worker process. Owned by the service loop."""

    def __init__(self, command: Sequence[str], *, on_progress: Callable[[float], None]) -> None:
        """Raises OSError if the process can't be started."""
        super().__init__()
        self._on_progress = on_progress
        self._model = ""
        self._worker = WorkerProcess(
            command,
            on_frame=lambda frame: self._on_loop(self._take_frame, frame),
            on_end=lambda exit_code: self._on_loop(self._take_end, exit_code),
        )

    @property
    def pid(self) -> int | None:
        return self._worker.pid

    async def load(self, config: EngineConfig) -> None:
        """Raises ModelLoadFailed, also if the process dies of it."""
        self._model = config.model_path.name
        self._post(Load(config.absolute()))
        await self._wait_ready()

    async def close(self) -> None:
        self._closing = True
        self._fail_all(EngineStopped())
        self._post(Shutdown())
        try:
            await self._ends_within(_CLOSE_S)
        finally:
            await self.kill()

    async def kill(self) -> None:
        """End the process without asking, and wait until it is gone."""
        self._closing = True
        self._fail_all(EngineStopped())
        self._worker.kill()
        await self._ended.wait()
        self._worker.join()

    def _post(self, command: Command) -> None:
        self._worker.send(command)

    def _take_frame(self, frame: Frame) -> None:
        match frame:
            case (LoadProgress(fraction),):
                self._on_progress(fraction)
            case (Ready(info),):
                self._settle(info)
            case (LoadFailed(error),):
                self._settle(error)
            case _:
                self._deliver(frame)

    def _take_end(self, exit_code: int) -> None:
        self._crashed = not self._closing
        tail = self._worker.log_tail
        if self._crashed:
            _log.error("The worker of %s ended by itself (%d). Its last words:\n%s", self._model, exit_code, "\n".join(tail))
        self._settle(ModelLoadFailed(self._model, _death(exit_code), log_tail=tail))
        self._fail_all(EngineCrashed(exit_code=exit_code, log_tail=tail))
        self._ended.set()


def _death(exit_code: int) -> str:
    """Why a worker may have died while loading, as a sentence."""
    if sys.platform != "win32" and exit_code == -signal.SIGKILL:
        return "the system ended its process, most likely because the memory is too small for this model."
    if exit_code in (0, 1):
        # No crash of llama.cpp: Python ended it.
        return "its process ended because of an error in Hearth or in how it is installed. The log has the details."
    return "llama.cpp gave up on the file and ended. It is damaged, or made for another version of llama.cpp."
