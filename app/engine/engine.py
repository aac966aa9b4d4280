"""A loaded model that answers jobs: the one object a worker or an engine thread drives."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TypeAlias

from app.domain.errors import AppError, ContextOverflow, GenerationFailed, InvalidRequest, UnsupportedContent
from app.domain.prompt import PromptSegment
from app.domain.stats import EngineStats
from app.engine.constraint import ConstraintCompiler
from app.engine.decoder import Vocabulary
from app.engine.embedder import Embedder
from app.engine.embedding import PreparedEmbedding
from app.engine.generation import PreparedGeneration
from app.engine.prompt import PromptTokenizer
from app.engine.protocol import EmbedJob, GenerateJob, JobEvent, ModelInfo, RerankJob
from app.engine.sampling import SamplingPlanner
from app.engine.sampling_checks import check_sampling
from app.engine.scheduler import Scheduler
from app.engine.state_files import StateFiles
from app.engine.tokens import TokenizedPrompt

__all__ = ["Engine", "PreparedJob"]

PreparedJob: TypeAlias = PreparedGeneration | PreparedEmbedding

_LOG = logging.getLogger(__name__)
_MAX_STOPS = 64


class Engine:
    """Two threads may use it: one calls `prepare`, `tokenize` and `detokenize`, the other everything else.

    A model that only makes embeddings has no `scheduler`; one that makes none has no `embedder`. `resources` frees the native
    objects when the engine is closed.
    """

    def __init__(
        self,
        info: ModelInfo,
        *,
        vocabulary: Vocabulary,
        prompts: PromptTokenizer,
        constraints: ConstraintCompiler,
        scheduler: Scheduler | None,
        limit: int,
        resources: ExitStack,
        files: StateFiles | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        self.info = info
        self._vocabulary = vocabulary
        self._planner = SamplingPlanner(vocabulary)
        self._prompts = prompts
        self._constraints = constraints
        self._scheduler = scheduler
        self._embedder = embedder
        self._parts: tuple[Scheduler | Embedder, ...] = tuple(part for part in (scheduler, embedder) if part is not None)
        self._limit = limit
        self._resources = resources
        self._files = files

    # ------------------------------------------------------------------------------------------------ preparing thread
    def prepare(self, job: GenerateJob | EmbedJob | RerankJob) -> PreparedJob:
        """Tokenize and check a job. Raises RequestError kinds."""
        match job:
            case GenerateJob():
                return self._prepare_generation(job)
            case EmbedJob() | RerankJob():
                if self._embedder is None:
                    raise UnsupportedContent(f"{self.info.name} can't make embeddings. Choose another model.", param="model")
                return self._embedder.prepare(job)

    def tokenize(self, prompt: Iterable[PromptSegment], *, add_special: bool) -> tuple[int, ...]:
        """The ids of a prompt; -1 for each token of a picture or sound. Raises RequestError kinds."""
        ids = self._prompts.tokenize(prompt, add_special=add_special).ids
        return tuple(max(-1, token) for token in ids.tolist())

    def detokenize(self, ids: Iterable[int]) -> str:
        """Raises InvalidRequest for an id the model does not have."""
        return self._vocabulary.detokenize(self._checked(ids))

    def pieces(self, ids: Iterable[int]) -> tuple[bytes, ...]:
        """What each token stands for, in bytes. Raises InvalidRequest for an id the model does not have."""
        return tuple(map(self._vocabulary.piece, self._checked(ids)))

    def _prepare_generation(self, job: GenerateJob) -> PreparedGeneration:
        if self._scheduler is None:
            does = "ranks documents" if self.info.reranking else "makes embeddings"
            raise UnsupportedContent(f"{self.info.name} {does}; it can't write text. Choose another model.", param="model")
        if job.max_tokens is not None and job.max_tokens < 0:
            raise InvalidRequest("max_tokens can't be less than 0.", param="max_tokens")
        check_sampling(job.sampling, max_tokens=job.max_tokens)
        for token, _ in job.sampling.logit_bias:
            self._check_token(token, "logit_bias")
        if len(job.stop) > _MAX_STOPS:
            raise InvalidRequest(f"At most {_MAX_STOPS} stop strings can be given.", param="stop")
        prompt = self._prompts.tokenize(job.prompt, add_special=job.add_special)
        if not len(prompt.ids):
            raise InvalidRequest("The prompt is empty. Send at least one token.", param="prompt")
        if prompt.ids[-1] < 0:
            raise InvalidRequest("The prompt must not end with a picture or sound; put text after it.", param="messages")
        if len(prompt.ids) >= self._limit:
            raise ContextOverflow(n_prompt=len(prompt.ids), n_ctx=self._limit)
        constraint = self._constraints.compile(job.constraint) if job.constraint is not None else None
        saved = self._files.read(job.owner, prompt.ids) if self._files is not None and job.owner is not None else None
        n_added = self._n_added(job, prompt) if job.echo else 0
        return PreparedGeneration(job, prompt, constraint, self._limit, self._planner.plan(job.sampling), saved, n_added)

    def _n_added(self, job: GenerateJob, prompt: TokenizedPrompt) -> int:
        """How many tokens stand before a job's own."""
        own = self._prompts.tokenize(job.prompt, add_special=False)
        if own.pictures:
            raise InvalidRequest("A prompt with pictures or sound can't be told again.", param="echo")
        return max(0, len(prompt.ids) - len(own.ids))

    def _checked(self, ids: Iterable[int]) -> tuple[int, ...]:
        checked = tuple(ids)
        for token in checked:
            self._check_token(token, "tokens")
        return checked

    def _check_token(self, token: int, param: str) -> None:
        if not 0 <= token < self._vocabulary.n_tokens:
            last = self._vocabulary.n_tokens - 1
            raise InvalidRequest(f"{token} is not a token of this model; its ids go from 0 to {last}.", param=param)

    def interrupt(self, job: str) -> None:
        """Cut a job's long computation short if it runs alone. Any thread; `cancel` still has to follow."""
        for part in self._parts:
            part.interrupt(job)

    # --------------------------------------------------------------------------------------------------- engine thread
    @property
    def busy(self) -> bool:
        """Whether `step` has something to do."""
        return any(part.busy for part in self._parts)

    def submit(self, prepared: object) -> None:
        """Queue a job that `prepare` returned. Raises EngineBusy when too many wait."""
        match prepared:
            case PreparedGeneration() if self._scheduler is not None:
                self._scheduler.submit(prepared)
            case PreparedEmbedding() if self._embedder is not None:
                self._embedder.submit(prepared)
            case _:
                raise UnsupportedContent(f"{self.info.name} can't do that.", param="model")

    def cancel(self, job: str) -> None:
        """Drop a job; no event follows. Unknown ids are ignored."""
        for part in self._parts:
            part.cancel(job)

    def finish(self, job: str) -> None:
        """End an answer where it is; its Done comes with the next step. Unknown ids are ignored."""
        if self._scheduler is not None:
            self._scheduler.finish(job)

    def forget(self, owner: str) -> None:
        """Keep nothing of a conversation that is gone."""
        if self._scheduler is not None:
            self._scheduler.forget(owner)

    @property
    def has_unwritten(self) -> bool:
        """Whether `keep` has something to write."""
        return self._scheduler is not None and self._scheduler.has_unwritten

    def keep(self) -> None:
        """Write prompts of conversations to the disk; the last thing before `close`."""
        if self._scheduler is not None:
            self._scheduler.keep()

    def stats(self, *, send_ns: int = 0) -> EngineStats:
        """What was done since the model was loaded; `send_ns` more nanoseconds went into handing out events."""
        return self._scheduler.stats(send_ns=send_ns) if self._scheduler is not None else EngineStats()

    def step(self) -> list[JobEvent]:
        """Compute a batch of text, then one of embeddings. Never raises: what fails ends the jobs concerned with JobFailed."""
        events: list[JobEvent] = []
        for part in self._parts:
            try:
                events += part.step() if part.busy else ()
            except Exception as error:  # noqa: BLE001 -- the edge: whatever happened must not end the engine thread
                _LOG.exception("A step of the engine failed")
                reason = error if isinstance(error, AppError) else GenerationFailed(f"The engine failed: {error}")
                events += part.fail_all(reason)
        return events

    def close(self) -> None:
        """Free everything. Safe to call twice."""
        for part in self._parts:
            part.close()
        self._resources.close()
