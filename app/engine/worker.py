"""The worker process: one model, one engine thread, and a pipe to the program that started it.

    stdin ──address, key──▶ main ──▶ connect ──▶ wait for Load ──▶ load ──▶ EngineLoop.run     (main thread: the engine thread)
    pipe  ──commands─────▶ reader thread ──▶ preparing thread ──▶ EngineLoop.handle;  end of the pipe ──▶ exit at once
                                └─ what ends a job ──▶ EngineLoop.hasten
    frames ──────────────▶ sending thread ──▶ pipe

The end of the pipe means that the program is gone, so the reader thread ends the process there and then, also while the other
threads are inside native code. Keep the imports of this module few: they are paid at each load of a model.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from pathlib import Path

from app.domain.errors import AppError, ModelLoadFailed
from app.engine.llama.backend import prepare_process
from app.engine.loop import EngineCore, EngineLoader, EngineLoop
from app.engine.protocol import (
    PROTOCOL_VERSION,
    Cancel,
    Command,
    EngineConfig,
    Finish,
    Forget,
    Frame,
    Job,
    Load,
    LoadFailed,
    LoadProgress,
    Ready,
    Shutdown,
    Survey,
)

__all__ = ["main"]

_log = logging.getLogger(__name__)

# The engine thread should get the interpreter back within a fraction of a decoding step (Python's default is 5 ms).
_SWITCH_INTERVAL_S = 0.0005
# Progress of less than this is not worth a message.
_PROGRESS_STEP = 0.005


def main(loader: EngineLoader | None = None) -> int:
    """Serve one model until the program says `Shutdown` or goes away. Returns the exit code."""
    _settle_in()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        return _Worker(_connect(), loader or _load_engine).run()
    except Exception:  # noqa: BLE001 - the edge of the worker: the program reads why from the log
        _log.exception("The worker failed")
        return 1


class _Worker:
    """One connection and, after `Load`, one engine."""

    def __init__(self, pipe: Connection, loader: EngineLoader) -> None:
        self._pipe = pipe
        self._loader = loader
        self._frames: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._loop: EngineLoop | None = None
        self._first: queue.SimpleQueue[Load | Survey] = queue.SimpleQueue()
        self._commands: queue.SimpleQueue[Job | Cancel | Finish | Forget | Shutdown] = queue.SimpleQueue()

    def run(self) -> int:
        """Load, then step until `Shutdown`; or survey for as long as somebody asks. Main thread."""
        self._start(self._read, name="reader")
        sender = self._start(self._write, name="sender")
        try:
            return self._serve()
        finally:
            self._frames.put(None)
            sender.join()

    def _serve(self) -> int:
        while isinstance(first := self._first.get(), Survey):
            self._survey(first)
        engine = self._load(first)
        if engine is None:
            return 0
        # What the loading made stays: no need to look through it in every collection.
        gc.freeze()
        self._loop = loop = EngineLoop(engine, self._frames.put)
        self._start(lambda: self._prepare(loop), name="preparer")
        self._frames.put((Ready(engine.info),))
        loop.run()
        return 0

    def _load(self, load: Load) -> EngineCore | None:
        if load.version != PROTOCOL_VERSION:
            reason = "parts of different versions of this program are mixed; please install it again."
            self._frames.put((LoadFailed(ModelLoadFailed(load.config.model_path.name, reason)),))
            return None
        try:
            return self._loader(load.config, on_progress=_Progress(self._frames.put))
        except AppError as error:
            self._frames.put((LoadFailed(error),))
            return None

    def _survey(self, survey: Survey) -> None:
        # Imported late, as the loader is.
        from app.engine.loading import survey_machine

        try:
            self._frames.put((survey_machine(survey.config),))
        except AppError as error:
            self._frames.put((LoadFailed(error),))

    def _read(self) -> None:
        """Take commands as long as the program lives, and do nothing long, so that its end is never missed. Reader thread."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                command: Command = self._pipe.recv()
                if isinstance(command, Load | Survey):
                    self._first.put(command)
                    continue
                if self._loop is not None:
                    self._loop.hasten(command)
                self._commands.put(command)
        os._exit(0)

    def _prepare(self, loop: EngineLoop) -> None:
        """Prepare jobs one after the other. Preparing thread."""
        while True:
            loop.handle(self._commands.get())

    def _write(self) -> None:
        """Send what is said until the end. Sending thread: a step need not wait until the program has been woken."""
        try:
            while (frame := self._frames.get()) is not None:
                self._pipe.send(frame)
        except OSError:
            os._exit(0)

    def _start(self, work: Callable[[], None], *, name: str) -> threading.Thread:
        """Run `work` on a thread without which the worker can't go on."""

        def guarded() -> None:
            try:
                work()
            except Exception:  # noqa: BLE001 - the edge of the worker: it would neither serve nor end
                _log.exception("The %s failed", name)
                os._exit(1)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread


class _Progress:
    """Reports loading in steps that are worth a message."""

    def __init__(self, send: Callable[[Frame], None]) -> None:
        self._send = send
        self._told = -1.0

    def __call__(self, fraction: float) -> bool:
        if fraction - self._told >= _PROGRESS_STEP or fraction >= 1.0 > self._told:
            self._told = fraction
            self._send((LoadProgress(fraction),))
        return True


def _connect() -> Connection:
    """Call the program back. The address and the key come over stdin, where no other user can read them."""
    hello = json.loads(sys.stdin.readline())
    address = hello["address"]
    return Client(tuple(address) if isinstance(address, list) else address, authkey=bytes.fromhex(hello["key"]))


def _settle_in() -> None:
    """Make this process one that nothing outside can steer, and that the system may sacrifice first."""
    # Ctrl-C reaches the whole process group; when to end is the program's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_process(Path(sys.executable if getattr(sys, "frozen", False) else __file__).resolve().parent)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # A windowed program on Windows may have no stderr.
    if sys.stderr is not None:
        faulthandler.enable()
    if sys.platform == "linux":
        _be_expendable()


def _be_expendable() -> None:
    """Where memory runs out, let the kernel end this process rather than the window; leave no core file of gigabytes."""
    import resource  # Not there on Windows.

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        Path("/proc/self/oom_score_adj").write_text("500", "ascii")


def _load_engine(config: EngineConfig, *, on_progress: Callable[[float], bool]) -> EngineCore:
    # Imported late: llama.cpp must not be looked for before the worker has settled in.
    from app.engine.loading import load_engine

    return load_engine(config, on_progress=on_progress)
