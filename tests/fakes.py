"""Stand-ins that are shared by all tests: an engine with scripted answers, a launcher for it, and a library without files.

    launcher = FakeLauncher(Answer.of("Hello", " there"))
    models = ModelManager(FakeLibrary(installed_model()), launcher, SettingsStore(tmp_path / "settings.json"))
    chat = ChatService(models)

Every answer is the next of the script; the last one repeats; each load starts the script anew. `launcher.client` is the engine
of the newest load: its `jobs` are what was asked, its `cancelled` the ids of jobs whose reader left early, its `finished` the
ids of jobs that were ended early, and `crash()` ends it as a dying worker does. Nothing here reads a clock or draws a random
number.
"""

from __future__ import annotations

import asyncio
import dataclasses
import struct
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.domain.errors import AppError, EngineCrashed, EngineStopped, ModelLoadFailed, ModelNotFound, NotRemovable
from app.domain.generation import (
    ChatRequest,
    EmbeddingResult,
    FinishReason,
    JsonObjectFormat,
    ReasoningDelta,
    RerankResult,
    TextDelta,
    Timings,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallStarted,
    Truncation,
    Usage,
)
from app.domain.memory import MemoryPlan
from app.domain.models import Capability, InstalledModel, ModelSource
from app.domain.observable import Observable
from app.domain.prompt import Constraint, ControlText, Picture, Piece, PlainText, PromptSegment, ReasoningLimit, TokenIds
from app.domain.stats import EngineStats
from app.engine.client import EngineOutput
from app.engine.protocol import Done, EngineConfig, GenerateJob, ModelInfo, PromptProgress, Surveyed, Tokens

if TYPE_CHECKING:
    # Formats are slow to import, and scripted workers import this module.
    from app.formats.chat_format import Delta

__all__ = [
    "Answer",
    "FakeChatFormat",
    "FakeEngineClient",
    "FakeLauncher",
    "FakeLibrary",
    "FakeOutputParser",
    "installed_model",
    "model_info",
    "piece",
]

PICTURE_TOKENS = 16


def model_info(**changes: object) -> ModelInfo:
    """What a small vision-chat model would say of itself; `changes` are fields of ModelInfo."""
    info = ModelInfo(
        name="Fake",
        n_ctx=4096,
        n_ctx_train=4096,
        n_vocab=512,
        n_embd=4,
        n_params=1_000_000,
        size_bytes=2_000_000,
        chat_template=None,
        bos_text="<s>",
        eos_text="</s>",
        eot_text="<|im_end|>",
        adds_bos=False,
        sees_pictures=True,
        embedding=False,
        n_gpu_layers=0,
        devices=("CPU",),
    )
    return dataclasses.replace(info, **changes)


def installed_model(id: str = "ember", **changes: object) -> InstalledModel:
    """A model of a library, with a path where no file is; `changes` are fields of InstalledModel."""
    path = Path("/models", f"{id}.gguf")
    model = InstalledModel(
        id=id,
        name=id.capitalize(),
        path=path,
        projector=None,
        files=(path,),
        size_bytes=2_000_000,
        architecture="llama",
        quantization="Q8_0",
        parameters=1_000_000,
        n_ctx_train=4096,
        capabilities=frozenset({Capability.CHAT, Capability.COMPLETION, Capability.VISION}),
        source=ModelSource.BUILT_IN,
        modified=datetime(2026, 1, 2, tzinfo=UTC),
    )
    return dataclasses.replace(model, **changes)


def piece(text: str, *, control: bool = False, logprob: float | None = None) -> Piece:
    """A generated token with this text; its id is derived from the text."""
    token_id = sum(text.encode()) % 512
    chosen = None if logprob is None else TokenLogprob(token_id, text, text.encode(), logprob)
    return Piece(token_id, text, control, chosen)


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted answer.

    Each piece is sent in a frame of its own. `error` ends the answer in place of `Done`: with no pieces it is an error of the
    request. `gate`, if given, must be set before anything after the first piece is sent, so that a test can look at, leave or
    break an answer that is under way.
    """

    pieces: tuple[Piece, ...] = ()
    reason: FinishReason = FinishReason.STOP
    error: AppError | None = None
    gate: asyncio.Event | None = None
    cached_tokens: int = 0
    stopped_by: str | None = None

    @classmethod
    def of(cls, *texts: str, **options: object) -> Answer:
        """An answer of plain pieces."""
        return cls(tuple(piece(text) for text in texts), **options)


class FakeEngineClient:
    """An EngineClient that reads its answers from a script."""

    def __init__(self, *answers: Answer, info: ModelInfo | None = None, pid: int | None = 4242) -> None:
        self.info = info or model_info()
        self.pid = pid
        self.crashed = False
        self.crowded = False
        self.jobs: list[GenerateJob] = []
        self.cancelled: list[str] = []
        self.running: set[str] = set()
        self.finished: list[str] = []
        self.forgotten: list[str] = []
        self.stats = EngineStats()
        self.truncations: list[Truncation] = []
        self.close_gate: asyncio.Event | None = None
        self._answers = list(answers) or [Answer.of("Hello", " there", ".")]
        self._end: AppError | None = None
        self._ended = asyncio.Event()

    async def generate(self, job: GenerateJob) -> AsyncGenerator[EngineOutput, None]:
        self._check()
        self.jobs.append(job)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        finished = False
        self.running.add(job.id)
        try:
            async for output in self._play(job, answer):
                finished = isinstance(output, Done)
                yield output
        except AppError:
            finished = True
            raise
        finally:
            self.running.discard(job.id)
            if not finished:
                self.cancelled.append(job.id)

    async def _play(self, job: GenerateJob, answer: Answer) -> AsyncGenerator[EngineOutput, None]:
        if answer.error is not None and not answer.pieces:
            raise answer.error
        n_prompt = len(tokens_of(job.prompt))
        yield PromptProgress(job.id, done=n_prompt, total=n_prompt, reused=answer.cached_tokens)
        for index, one in enumerate(answer.pieces):
            if index == 1 and answer.gate is not None:
                await self._wait(answer.gate)
            self._check()
            yield Tokens(job.id, (one,))
            if job.id in self.finished:
                usage = Usage(n_prompt, index + 1, cached_tokens=answer.cached_tokens)
                yield Done(job.id, FinishReason.STOP, usage, Timings(0.0, 0.25, 0.5))
                return
        if len(answer.pieces) < 2 and answer.gate is not None:
            await self._wait(answer.gate)
        self._check()
        if answer.error is not None:
            raise answer.error
        usage = Usage(n_prompt, len(answer.pieces), cached_tokens=answer.cached_tokens)
        yield Done(job.id, answer.reason, usage, Timings(0.0, 0.25, 0.5), answer.stopped_by)

    def finish(self, job_id: str) -> None:
        self.finished.append(job_id)

    def forget(self, owner: str) -> None:
        self.forgotten.append(owner)

    async def embed(
        self, inputs: tuple[str | tuple[int, ...], ...], *, truncation: Truncation = Truncation.NONE
    ) -> EmbeddingResult:
        """Unit vectors: the axis is the length of the input."""
        self._check()
        self.truncations.append(truncation)
        n_embd = self.info.n_embd
        vectors = tuple(struct.pack(f"<{n_embd}f", *(float(i == len(one) % n_embd) for i in range(n_embd))) for one in inputs)
        return EmbeddingResult(vectors, prompt_tokens=sum(len(one) for one in inputs))

    async def rerank(self, query: str, documents: tuple[str, ...], *, truncation: Truncation = Truncation.NONE) -> RerankResult:
        """A score is how much of the document the query is."""
        self._check()
        self.truncations.append(truncation)
        scores = tuple(len(query) * document.count(query) / len(document) for document in documents)
        return RerankResult(scores, prompt_tokens=sum(len(query) + len(document) for document in documents))

    async def tokenize(self, prompt: tuple[PromptSegment, ...], *, add_special: bool = False) -> tuple[int, ...]:
        self._check()
        return tokens_of(prompt)

    async def detokenize(self, ids: tuple[int, ...]) -> str:
        self._check()
        return bytes(id for id in ids if id >= 0).decode("utf-8", "replace")

    async def pieces(self, ids: tuple[int, ...]) -> tuple[bytes, ...]:
        self._check()
        return tuple(bytes([id]) for id in ids)

    async def wait_closed(self) -> None:
        await self._ended.wait()

    async def close(self) -> None:
        """At once, or when `close_gate` opens."""
        if self.close_gate is not None:
            await self.close_gate.wait()
        self._stop(EngineStopped())

    def crash(self, exit_code: int = -6) -> None:
        """End as a worker does that a signal ended: what runs and what comes fails with EngineCrashed."""
        self.crashed = True
        self._stop(EngineCrashed(exit_code=exit_code, log_tail=("GGML_ASSERT failed",)))

    def _stop(self, error: AppError) -> None:
        self._end = self._end or error
        self._ended.set()

    def _check(self) -> None:
        if self._end is not None:
            raise self._end

    async def _wait(self, gate: asyncio.Event) -> None:
        """Until the gate opens or the engine ends."""
        waits = [asyncio.ensure_future(event.wait()) for event in (gate, self._ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def tokens_of(prompt: tuple[PromptSegment, ...]) -> tuple[int, ...]:
    """The fake tokenizer: one token per byte, -1 for each token of a picture."""
    ids: list[int] = []
    for segment in prompt:
        match segment:
            case ControlText(text) | PlainText(text):
                ids.extend(text.encode())
            case Picture():
                ids.extend([-1] * PICTURE_TOKENS)
            case TokenIds(given):
                ids.extend(given)
    return tuple(ids)


@dataclass
class FakeLauncher:
    """An EngineLauncher whose models answer from a script.

    `errors` are raised by the next loads, in order, None lets one succeed. `gate`, if given, must be set before a load ends.
    `plans` are the answers to the next surveys, in order; then nothing can be told.
    """

    answers: tuple[Answer, ...]
    info: ModelInfo
    errors: list[AppError | None]
    gate: asyncio.Event | None
    configs: list[EngineConfig] = field(default_factory=list)
    clients: list[FakeEngineClient] = field(default_factory=list)
    cancelled_loads: int = 0
    plans: list[MemoryPlan | None] = field(default_factory=list)
    surveyed: list[EngineConfig | None] = field(default_factory=list)

    def __init__(
        self,
        *answers: Answer,
        info: ModelInfo | None = None,
        errors: tuple[AppError | None, ...] = (),
        gate: asyncio.Event | None = None,
        plans: tuple[MemoryPlan | None, ...] = (),
    ) -> None:
        self.answers = answers
        self.info = info or model_info()
        self.errors = list(errors)
        self.gate = gate
        self.configs = []
        self.clients = []
        self.cancelled_loads = 0
        self.plans = list(plans)
        self.surveyed = []

    @property
    def client(self) -> FakeEngineClient:
        """The engine of the newest load."""
        return self.clients[-1]

    async def launch(self, config: EngineConfig, *, on_progress: Callable[[float], None]) -> FakeEngineClient:
        self.configs.append(config)
        on_progress(0.5)
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled_loads += 1
            raise
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        on_progress(1.0)
        n_ctx = config.n_ctx or max(self.info.n_ctx, config.least_ctx)
        info = dataclasses.replace(self.info, embedding=config.embedding, n_ctx=n_ctx)
        client = FakeEngineClient(*self.answers, info=info, pid=4242 + len(self.clients))
        self.clients.append(client)
        return client

    async def survey(self, config: EngineConfig | None) -> Surveyed:
        self.surveyed.append(config)
        return Surveyed((), self.plans.pop(0) if self.plans else None)

    async def surveys(self, configs: AsyncIterable[EngineConfig]) -> AsyncGenerator[Surveyed | ModelLoadFailed, None]:
        async for config in configs:
            yield await self.survey(config)


class FakeLibrary:
    """A ModelLibrary of models that exist only here."""

    def __init__(self, *models: InstalledModel, aliases: Mapping[str, str] | None = None, fallback: str = "") -> None:
        self.changed: Observable[tuple[InstalledModel, ...]] = Observable()
        self.models = models or (installed_model(),)
        self.aliases = dict(aliases or {})
        self.fallback = fallback

    async def refresh(self) -> tuple[InstalledModel, ...]:
        return self.models

    async def find(self, name: str) -> InstalledModel:
        return self.resolve(name)

    async def find_any(self, name: str) -> InstalledModel:
        return self.resolve_any(name)

    def resolve_any(self, name: str) -> InstalledModel:
        try:
            return self.resolve(name)
        except ModelNotFound:
            if not self.fallback:
                raise
            return self.resolve(self.fallback)

    def aliases_of(self, model: InstalledModel) -> tuple[str, ...]:
        return tuple(alias for alias, target in self.aliases.items() if target == model.id)

    def resolve(self, name: str) -> InstalledModel:
        for model in self.models:
            if model.id.casefold() == self.aliases.get(name, name).casefold():
                return model
        raise ModelNotFound(name, near=tuple(model.id for model in self.models if model.id[:2] == name[:2]))

    async def add(self, path: Path, projector: Path | None = None) -> InstalledModel:
        model = installed_model(path.stem, path=path, projector=projector, files=(path,), source=ModelSource.ADDED)
        self._set((*self.models, model))
        return model

    async def open_path(self, path: Path) -> InstalledModel:
        return await self.add(path)

    async def remove(self, model_id: str) -> int:
        model = self.resolve(model_id)
        if model.source is ModelSource.BUILT_IN:
            raise NotRemovable(f"{model.name} is built in.")
        self._set(tuple(other for other in self.models if other is not model))
        return model.size_bytes

    def _set(self, models: tuple[InstalledModel, ...]) -> None:
        self.models = models
        self.changed.notify(models)


class FakeChatFormat:
    """A ChatFormat of its own kind: turns as `<role>text`, `<think>…</think>` for reasoning, `<call>name arguments`."""

    capabilities = frozenset({Capability.TOOLS, Capability.REASONING})
    thinks_by_default = False
    problem = None

    def prompt(self, request: ChatRequest) -> tuple[PromptSegment, ...]:
        segments: list[PromptSegment] = []
        for message in request.messages:
            segments.append(ControlText(f"<{message.role}>"))
            segments.extend(Picture(image.data) for image in message.images)
            segments.append(PlainText(message.text))
        return (*segments, ControlText("<assistant>"))

    def constraint(self, request: ChatRequest) -> Constraint | None:
        return Constraint(json_schema='{"type": "object"}') if isinstance(request.output, JsonObjectFormat) else None

    def reasoning_limit(self, request: ChatRequest) -> ReasoningLimit | None:
        budget = request.reasoning.budget
        return None if budget is None else ReasoningLimit(budget, "<think>", "</think>", "</think>")

    def parser(self, request: ChatRequest) -> FakeOutputParser:
        return FakeOutputParser(parallel_calls=request.parallel_tool_calls)


class FakeOutputParser:
    """Control pieces switch what the following pieces are."""

    def __init__(self, *, parallel_calls: bool = True) -> None:
        self.called_tools = False
        self.reasoning_tokens = 0
        self._parallel_calls = parallel_calls
        self._mode = ""
        self._calls = 0

    def feed(self, piece: Piece) -> tuple[Delta, ...]:
        if piece.control:
            self._mode = "" if piece.text.startswith("</") else piece.text
            return ()
        logprobs = (piece.logprob,) if piece.logprob else ()
        match self._mode:
            case "<think>":
                self.reasoning_tokens += 1
                return (ReasoningDelta(piece.text, logprobs),)
            case "<call>":
                self.called_tools = True
                self._calls += 1
                name, _, arguments = piece.text.partition(" ")
                index = self._calls - 1
                return (ToolCallStarted(index, f"call_{index}", name), ToolArgumentsDelta(index, arguments))
            case _:
                return (TextDelta(piece.text, logprobs),)

    @property
    def wants_stop(self) -> bool:
        return self.called_tools and not self._parallel_calls

    def finish(self) -> tuple[Delta, ...]:
        return ()
