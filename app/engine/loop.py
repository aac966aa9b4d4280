"""The engine's main loop: the same in a worker process and on a thread of this process."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Protocol

from app.domain.errors import AppError, GenerationFailed
from app.domain.prompt import PromptSegment
from app.domain.stats import EngineStats
from app.engine.outbox import Outbox
from app.engine.protocol import (
    Cancel,
    Command,
    Detokenized,
    DetokenizeJob,
    EmbedJob,
    EngineConfig,
    Finish,
    Forget,
    Frame,
    GenerateJob,
    Job,
    JobEvent,
    JobFailed,
    ModelInfo,
    RerankJob,
    Saving,
    Shutdown,
    Standing,
    Tokenized,
    TokenizeJob,
)

__all__ = ["EngineCore", "EngineLoader", "EngineLoop"]

_log = logging.getLogger(__name__)

_TELL_EVERY_NS = 1_000_000_000


class EngineCore(Protocol):
    """What the loop needs of an engine; `app.engine.engine.Engine` in life."""

    @property
    def info(self) -> ModelInfo: ...

    def prepare(self, job: GenerateJob | EmbedJob | RerankJob, /) -> object: ...

    def tokenize(self, prompt: tuple[PromptSegment, ...], /, *, add_special: bool) -> tuple[int, ...]: ...

    def detokenize(self, ids: tuple[int, ...], /) -> str: ...

    def pieces(self, ids: tuple[int, ...], /) -> tuple[bytes, ...]: ...

    def interrupt(self, job: str, /) -> None: ...

    def submit(self, prepared: object, /) -> None: ...

    def cancel(self, job: str, /) -> None: ...

    def finish(self, job: str, /) -> None: ...

    def forget(self, owner: str, /) -> None: ...

    @property
    def has_unwritten(self) -> bool: ...

    def keep(self) -> None: ...

    def stats(self, *, send_ns: int) -> EngineStats: ...

    @property
    def busy(self) -> bool: ...

    def step(self) -> Sequence[JobEvent]: ...

    def close(self) -> None: ...


class EngineLoader(Protocol):
    """Loads a model on the calling thread. `on_progress` gets 0 … 1; where it returns False the loading ends.

    Raises ModelLoadFailed.
    """

    def __call__(self, config: EngineConfig, *, on_progress: Callable[[float], bool]) -> EngineCore: ...


@dataclass(frozen=True, slots=True)
class _Submit:
    """A prepared job on its way to the engine thread."""

    id: str
    prepared: object


class EngineLoop:
    """Carries jobs into one engine and its events out.

    Three threads use it: `hasten` belongs to the one that receives commands; `handle` to the preparing thread, where jobs are
    tokenized and pictures decoded; `run` to the engine thread, which alone touches the model's context. `emit` is called on the
    latter two and must not raise.
    """

    def __init__(self, engine: EngineCore, emit: Callable[[Frame], None]) -> None:
        self._engine = engine
        self._emit = emit
        self._inbox: queue.SimpleQueue[_Submit | Cancel | Finish | Forget | Shutdown] = queue.SimpleQueue()
        self._outbox = Outbox(emit)
        self._told_at = 0

    def hasten(self, command: Command) -> None:
        """Let what ends a job take effect now, though others wait to be prepared. `handle` still has to get the command: the
        job may be one of those. Any thread.
        """
        match command:
            case Cancel(id):
                # A long prompt is not read to its end for nobody.
                self._engine.interrupt(id)
                self._inbox.put(command)
            case Finish():
                self._inbox.put(command)

    def handle(self, command: Job | Cancel | Finish | Forget | Shutdown) -> None:
        """Carry one command out, in its turn. A job that can't be done is answered with `JobFailed`."""
        match command:
            case Cancel() | Finish() | Forget() | Shutdown():
                self._inbox.put(command)
            case _:
                self._prepare(command)

    def run(self) -> None:
        """Step until `Shutdown`, then close the engine. The engine rests while it has nothing to do."""
        try:
            while self._take_commands():
                started = perf_counter_ns()
                events = self._engine.step()
                self._outbox.put((*events, *self._standing()), step_ns=perf_counter_ns() - started)
            if self._engine.has_unwritten:
                self._emit((Saving(),))
                self._engine.keep()
        finally:
            self._engine.close()

    def _standing(self) -> Frame:
        """About once a second, and when there is nothing more to do."""
        now = perf_counter_ns()
        if now - self._told_at < _TELL_EVERY_NS and self._engine.busy:
            return ()
        self._told_at = now
        return (Standing(self._engine.stats(send_ns=self._outbox.send_ns)),)

    def _prepare(self, job: Job) -> None:
        try:
            match job:
                case GenerateJob() | EmbedJob() | RerankJob():
                    self._inbox.put(_Submit(job.id, self._engine.prepare(job)))
                case TokenizeJob():
                    ids = self._engine.tokenize(job.prompt, add_special=job.add_special)
                    self._emit((Tokenized(job.id, ids),))
                case DetokenizeJob():
                    pieces = self._engine.pieces(job.ids) if job.pieces else ()
                    self._emit((Detokenized(job.id, self._engine.detokenize(job.ids), pieces),))
        except AppError as error:
            self._emit((JobFailed(job.id, error),))
        except Exception as error:  # noqa: BLE001 - part of the engine's edge: a bug costs the job that met it, not the others
            _log.exception("A job could not be prepared")
            self._emit((JobFailed(job.id, GenerationFailed(f"The request could not be prepared: {error!r}")),))

    def _take_commands(self) -> bool:
        """Take over all commands that wait, or wait for one while there is nothing to compute. False: shut down."""
        while True:
            try:
                command = self._inbox.get(block=not self._engine.busy)
            except queue.Empty:
                return True
            # A step with a new prompt is longer than the last.
            self._outbox.send()
            match command:
                case Shutdown():
                    return False
                case Cancel(id):
                    self._cancel(id)
                case Finish(id):
                    self._engine.finish(id)
                case Forget(owner):
                    self._engine.forget(owner)
                case _Submit():
                    self._submit(command)

    def _cancel(self, id: str) -> None:
        was_busy = self._engine.busy
        self._engine.cancel(id)
        if was_busy and not self._engine.busy:
            # No step follows that would tell of the rest.
            self._emit(self._standing())

    def _submit(self, command: _Submit) -> None:
        try:
            self._engine.submit(command.prepared)
        except AppError as error:
            self._emit((JobFailed(command.id, error),))
        except Exception as error:  # noqa: BLE001 - part of the engine's edge: a bug costs the job that met it, not the others
            _log.exception("A job could not be begun")
            self._emit((JobFailed(command.id, GenerationFailed(f"The request could not be begun: {error!r}")),))
