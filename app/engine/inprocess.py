"""A loaded model on a thread of this process: for debugging, and for tests. A crash of llama.cpp takes the program with it."""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from pathlib import Path

from app.domain.errors import EngineCrashed, EngineStopped, ModelLoadFailed
from app.engine.jobs import JobClient
from app.engine.llama.backend import prepare_process
from app.engine.loop import EngineCore, EngineLoader, EngineLoop
from app.engine.protocol import Command, EngineConfig, Load, Shutdown, Survey, Surveyed
from app.engine.survey import survey, surveys

__all__ = ["ThreadEngineClient", "ThreadLauncher"]

_log = logging.getLogger(__name__)

# An engine ends within one step of being asked. A thread can't be killed, only left.
_CLOSE_S = 4.0


class ThreadLauncher:
    """Loads each model on a thread. `loader` is the engine's own by default."""

    def __init__(self, loader: EngineLoader | None = None) -> None:
        self._loader = loader or _load_engine

    async def launch(self, config: EngineConfig, *, on_progress: Callable[[float], None]) -> ThreadEngineClient:
        client = ThreadEngineClient(self._loader, config, on_progress=on_progress)
        try:
            await client.wait_ready()
        except BaseException:  # cancelling included: whatever ends the loading ends the thread
            await client.close()
            raise
        return client

    async def survey(self, config: EngineConfig | None) -> Surveyed:
        """In a process of its own all the same: it asks for nothing that a thread could answer better."""
        return await survey(config)

    def surveys(self, configs: AsyncIterable[EngineConfig]) -> AsyncGenerator[Surveyed | ModelLoadFailed, None]:
        return surveys(configs)


class ThreadEngineClient(JobClient):
    """An engine on two threads: one prepares jobs, one loads the model and steps. Owned by the service loop."""

    def __init__(self, loader: EngineLoader, config: EngineConfig, *, on_progress: Callable[[float], None]) -> None:
        super().__init__()
        self._loader = loader
        self._config = config
        self._on_progress = on_progress
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._engine_loop: EngineLoop | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        return None

    async def wait_ready(self) -> None:
        """Raises ModelLoadFailed."""
        await self._wait_ready()

    async def close(self) -> None:
        self._closing = True
        self._fail_all(EngineStopped())
        self._post(Shutdown())
        if await self._ends_within(_CLOSE_S):
            self._thread.join()
        else:
            _log.error("The engine sits in native code; its thread is left behind")
            # Nobody is to wait for it any longer.
            self._ended.set()

    def _post(self, command: Command) -> None:
        if self._engine_loop is not None:
            self._engine_loop.hasten(command)
        self._commands.put(command)

    # ------------------------------------------------------------------------------------------------------ engine thread
    def _run(self) -> None:
        try:
            engine = self._loader(self._config, on_progress=self._report)
            self._engine_loop = loop = EngineLoop(engine, lambda frame: self._on_loop(self._deliver, frame))
            preparer = threading.Thread(target=self._prepare, args=(loop,), name="engine preparer", daemon=True)
            preparer.start()
            self._on_loop(self._settle, engine.info)
            try:
                loop.run()
            finally:
                self._commands.put(Shutdown())
                preparer.join()
        except ModelLoadFailed as error:
            self._on_loop(self._settle, error)
        except Exception as error:  # noqa: BLE001 - the edge of the engine thread, as the worker's main is
            _log.exception("The engine failed")
            self._on_loop(self._crash, tuple(traceback.format_exception(error)))
        finally:
            self._on_loop(self._ended.set)

    def _report(self, fraction: float) -> bool:
        self._on_loop(self._on_progress, fraction)
        return not self._closing

    # --------------------------------------------------------------------------------------------------- preparing thread
    def _prepare(self, loop: EngineLoop) -> None:
        while True:
            command = self._commands.get()
            if not isinstance(command, Load | Survey):
                loop.handle(command)
            if isinstance(command, Shutdown):
                return

    # ------------------------------------------------------------------------------------------------------- service loop
    def _crash(self, log_tail: tuple[str, ...]) -> None:
        self._crashed = not self._closing
        self._settle(ModelLoadFailed(self._config.model_path.name, "llama.cpp failed to read it.", log_tail=log_tail))
        self._fail_all(EngineCrashed(exit_code=None, log_tail=log_tail))


def _load_engine(config: EngineConfig, *, on_progress: Callable[[float], bool]) -> EngineCore:
    # Imported late: a program whose engine runs in a process must not load llama.cpp.
    from app.engine.loading import load_engine

    prepare_process(Path.cwd())
    return load_engine(config, on_progress=on_progress)
