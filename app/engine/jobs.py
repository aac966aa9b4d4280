"""One engine and the jobs that run on it, seen from the service loop: what the process client and the thread client share."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from typing import TypeAlias

from app.domain.errors import AppError
from app.domain.generation import EmbeddingResult, RerankResult, Truncation
from app.domain.prompt import Piece, PromptSegment
from app.domain.stats import EngineStats
from app.engine.client import EngineOutput
from app.engine.protocol import (
    Cancel,
    Command,
    Detokenized,
    DetokenizeJob,
    Done,
    Embedded,
    EmbedJob,
    Finish,
    Forget,
    Frame,
    GenerateJob,
    Job,
    JobFailed,
    ModelInfo,
    PromptProgress,
    Reranked,
    RerankJob,
    Saving,
    Standing,
    Tokenized,
    TokenizeJob,
    Tokens,
)

__all__ = ["JobClient"]

# For writing prompts to the disk.
_SAVE_S = 15.0

_Answer: TypeAlias = Embedded | Reranked | Tokenized | Detokenized


class JobClient(ABC):
    """Sends jobs to an engine and hands its events to those who wait for them. Owned by the service loop.

    Subclasses tell how the loading ended with `_settle`, and set `_ended` once the engine is gone.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[ModelInfo] = self._loop.create_future()
        self._info: ModelInfo | None = None
        self._closing = False
        self._crashed = False
        self._ended = asyncio.Event()
        self._streams: dict[str, _Stream] = {}
        self._answers: dict[str, asyncio.Future[_Answer]] = {}
        self._ids = itertools.count(1)
        self._end: AppError | None = None
        self._saving = False
        self.stats = EngineStats()

    @abstractmethod
    def _post(self, command: Command) -> None:
        """Send a command without waiting. Does nothing once the engine has ended."""

    @property
    def info(self) -> ModelInfo:
        assert self._info is not None, "not loaded"
        return self._info

    @property
    def crashed(self) -> bool:
        return self._crashed

    async def wait_closed(self) -> None:
        await self._ended.wait()

    @property
    def crowded(self) -> bool:
        return 0 < self.info.most_jobs <= len(self._streams)

    async def generate(self, job: GenerateJob) -> AsyncGenerator[EngineOutput, None]:
        stream = _Stream(job.id)
        self._send(job)
        self._streams[job.id] = stream
        try:
            while True:
                output = await stream.next()
                yield output
                if isinstance(output, Done):
                    return
        finally:
            del self._streams[job.id]
            if not stream.ended:
                self._post(Cancel(job.id))

    def finish(self, job_id: str) -> None:
        self._post(Finish(job_id))

    def forget(self, owner: str) -> None:
        self._post(Forget(owner))

    async def embed(
        self, inputs: tuple[str | tuple[int, ...], ...], *, truncation: Truncation = Truncation.NONE
    ) -> EmbeddingResult:
        answer = await self._ask(EmbedJob(self._next_id(), inputs, truncation))
        assert isinstance(answer, Embedded)
        return answer.result

    async def rerank(self, query: str, documents: tuple[str, ...], *, truncation: Truncation = Truncation.NONE) -> RerankResult:
        answer = await self._ask(RerankJob(self._next_id(), query, documents, truncation))
        assert isinstance(answer, Reranked)
        return answer.result

    async def tokenize(self, prompt: tuple[PromptSegment, ...], *, add_special: bool = False) -> tuple[int, ...]:
        answer = await self._ask(TokenizeJob(self._next_id(), prompt, add_special))
        assert isinstance(answer, Tokenized)
        return answer.ids

    async def detokenize(self, ids: tuple[int, ...]) -> str:
        answer = await self._ask(DetokenizeJob(self._next_id(), ids))
        assert isinstance(answer, Detokenized)
        return answer.text

    async def pieces(self, ids: tuple[int, ...]) -> tuple[bytes, ...]:
        answer = await self._ask(DetokenizeJob(self._next_id(), ids, pieces=True))
        assert isinstance(answer, Detokenized)
        return answer.pieces

    async def _ends_within(self, seconds: float) -> bool:
        """Wait for the end, longer if the engine writes prompts to the disk first. Whether it has ended."""
        for limit in (seconds, _SAVE_S):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), limit)
            if not self._saving:
                break
        return self._ended.is_set()

    async def _wait_ready(self) -> None:
        """Raises what the loading failed with."""
        self._info = await self._ready

    def _settle(self, outcome: ModelInfo | AppError) -> None:
        """The loading ended; only the first outcome counts."""
        if self._ready.done():
            return
        if isinstance(outcome, ModelInfo):
            self._ready.set_result(outcome)
        else:
            self._ready.set_exception(outcome)

    def _on_loop(self, call: Callable[..., object], *args: object) -> None:
        """Have the service loop call something. Any thread."""
        # RuntimeError: the loop was closed without closing this client, so nobody listens.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)

    def _deliver(self, frame: Frame) -> None:
        """Hand out one frame. Events of jobs nobody waits for any more are dropped."""
        for event in frame:
            match event:
                case Embedded() | Reranked() | Tokenized() | Detokenized():
                    answer = self._answers.get(event.id)
                    if answer is not None and not answer.done():
                        answer.set_result(event)
                case JobFailed(id, error):
                    self._fail(id, error)
                case Standing(stats):
                    self.stats = stats
                case Saving():
                    self._saving = True
                case PromptProgress() | Tokens() | Done():
                    stream = self._streams.get(event.id)
                    if stream is not None:
                        stream.put(event)

    def _fail(self, id: str, error: AppError) -> None:
        stream = self._streams.get(id)
        if stream is not None:
            stream.put(error)
        answer = self._answers.get(id)
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def _fail_all(self, error: AppError) -> None:
        """End what runs with `error`, and refuse what comes later with it. The first error stays."""
        if self._end is None:
            self._end = error
        for id in (*self._streams, *self._answers):
            self._fail(id, copy.copy(self._end))

    async def _ask(self, job: EmbedJob | RerankJob | TokenizeJob | DetokenizeJob) -> _Answer:
        self._send(job)
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._answers[job.id] = answer
        try:
            return await answer
        finally:
            del self._answers[job.id]
            if not answer.done() or answer.cancelled():
                self._post(Cancel(job.id))

    def _send(self, job: Job) -> None:
        if self._end is not None:
            raise copy.copy(self._end)
        self._post(job)

    def _next_id(self) -> str:
        return f"q{next(self._ids)}"


class _Stream:
    """One answer's events on their way to its reader.

    A reader that is slower than the engine gets its tokens joined, so what waits is bounded by the answer's text.
    """

    def __init__(self, id: str) -> None:
        self._id = id
        self._progress: PromptProgress | None = None
        self._pieces: list[Piece] = []
        self._end: Done | AppError | None = None
        self._arrived = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether the engine has nothing more to say."""
        return self._end is not None

    def put(self, event: EngineOutput | AppError) -> None:
        match event:
            case PromptProgress():
                self._progress = event
            case Tokens():
                self._pieces.extend(event.pieces)
            case _ if self._end is None:
                self._end = event
        self._arrived.set()

    async def next(self) -> EngineOutput:
        """The next event; text that arrived before an error comes before it."""
        while True:
            if self._progress is not None:
                progress, self._progress = self._progress, None
                return progress
            if self._pieces:
                pieces, self._pieces = tuple(self._pieces), []
                return Tokens(self._id, pieces)
            match self._end:
                case Done():
                    return self._end
                case AppError():
                    raise self._end
            self._arrived.clear()
            await self._arrived.wait()
