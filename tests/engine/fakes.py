"""A vocabulary, an encoder and an engine without llama.cpp, strict about how they are used."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from app.domain.generation import SamplingParams
from app.domain.prompt import PlainText
from app.engine.constraint import ConstraintCompiler
from app.engine.decoder import DecodeResult, Encoder, FloatArray, PictureTokens, Projector
from app.engine.drafts import Drafter
from app.engine.embedder import Embedder, RerankFormat
from app.engine.embedding import EmbeddingScheduler
from app.engine.engine import Engine
from app.engine.pictures import RgbPicture
from app.engine.prompt import PromptTokenizer
from app.engine.protocol import Done, GenerateJob, JobEvent, ModelInfo, Tokens
from app.engine.sampling import SamplingPlan, SamplingPlanner
from app.engine.saved import SavedStates
from app.engine.scheduler import Scheduler
from app.engine.sounds import SoundFile
from app.engine.state_files import StateFiles
from tests.engine.fake_decoder import N_TOKENS, FakeChain, FakeDecoder, letters

__all__ = [
    "BOS",
    "END",
    "TOOL",
    "FakeChain",
    "FakeDecoder",
    "FakeEncoder",
    "FakeProjector",
    "FakeVocabulary",
    "Run",
    "fake_embedder",
    "fake_engine",
    "letters",
    "model_info",
    "plan_of",
    "run",
    "say",
]

BOS, END, TOOL = 256, 257, 258
_SPECIAL = {"<s>": BOS, "<end>": END, "<tool>": TOOL}


class FakeVocabulary:
    """A token is a byte, or one of three control tokens."""

    n_tokens = N_TOKENS
    bos: int | None = BOS
    markers = re.compile("|".join(map(re.escape, _SPECIAL)))
    eog_tokens: Sequence[int] = (END,)
    suppressed_tokens: Sequence[int] = ()

    def __init__(self, *, adds_bos: bool = False, adds_space: bool = False) -> None:
        self.adds_bos = adds_bos
        self.adds_space = adds_space

    def tokenize(self, text: str, *, parse_special: bool, add_special: bool = False) -> list[int]:
        parts = re.split(f"({self.markers.pattern})", text) if parse_special else [text]
        ids = [token for part in parts for token in ([_SPECIAL[part]] if part in _SPECIAL else part.encode())]
        return [BOS, *ids] if add_special else ids

    def detokenize(self, ids: Sequence[int]) -> str:
        return b"".join(map(self.piece, ids)).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < BOS else {v: k for k, v in _SPECIAL.items()}[token].encode()

    def is_eog(self, token: int) -> bool:
        return token == END

    def is_control(self, token: int) -> bool:
        return token >= BOS


class FakeEncoder:
    """A vector is the sum and the number of its tokens. A batch with a token of `guilty` in it is refused."""

    def __init__(self, *, n_tokens_max: int = 32, n_tokens_packed: int = 16, n_sequences: int = 4) -> None:
        self.n_tokens_max = n_tokens_max
        self.n_tokens_packed = n_tokens_packed
        self.n_sequences = n_sequences
        self.batches: list[list[tuple[int, ...]]] = []
        self.guilty: set[int] = set()
        self.results: list[DecodeResult] = []
        self.interrupted = 0
        self.closed = False

    def encode(self, inputs: Sequence[Sequence[int]]) -> FloatArray | DecodeResult:
        assert 0 < len(inputs) <= self.n_sequences
        n_tokens = sum(map(len, inputs))
        assert n_tokens <= (self.n_tokens_packed if len(inputs) > 1 else self.n_tokens_max)
        self.batches.append([tuple(ids) for ids in inputs])
        result = self.results.pop(0) if self.results else DecodeResult.OK
        if result is not DecodeResult.OK:
            return result
        if any(self.guilty.intersection(ids) for ids in inputs):
            return DecodeResult.FAILED
        return np.array([[sum(ids), len(ids)] for ids in inputs], np.float32)

    def interrupt(self) -> None:
        self.interrupted += 1

    def close(self) -> None:
        self.closed = True


class FakeProjector:
    """A picture is `<tool>`, one token per row of pixels, `<tool>`; a sound is a token for each tenth of a second."""

    def __init__(self, *, sees_pictures: bool = True, hears: bool = True) -> None:
        self.read = 0
        self.sees_pictures = sees_pictures
        self.hears = hears

    def tokenize(self, media: RgbPicture | SoundFile) -> tuple[tuple[int, ...] | PictureTokens, ...]:
        self.read += 1
        if isinstance(media, SoundFile):
            n = round(media.seconds * 10)
            return (PictureTokens(media.digest, n, n, None),)
        return ((TOOL,), PictureTokens(media.digest, media.height, media.height, None), (TOOL,))


def fake_engine(
    decoder: FakeDecoder,
    *,
    vocabulary: FakeVocabulary | None = None,
    projector: Projector | None = None,
    n_parallel: int = 4,
    limit: int = 512,
    saved_bytes: int = 0,
    files: StateFiles | None = None,
    drafter: Drafter | None = None,
    clock: Callable[[], float] | None = None,
) -> Engine:
    """A real engine on a fake decoder; grammars are left out. Nothing takes any time; where tokens are guessed, all steps take
    the same.
    """
    vocabulary = vocabulary or FakeVocabulary()

    def no_grammars(*, stopped: Callable[[], bool]) -> object:
        raise AssertionError("The fake vocabulary knows no grammars")

    return Engine(
        model_info(sees_pictures=projector is not None, n_ctx=limit),
        vocabulary=vocabulary,
        prompts=PromptTokenizer(vocabulary, projector, model_name="Fake"),
        constraints=ConstraintCompiler(vocabulary, no_grammars),
        scheduler=Scheduler(
            decoder,
            vocabulary,
            n_parallel=n_parallel,
            saved=SavedStates(saved_bytes, on_let_go=files.write if files is not None else None),
            files=files,
            drafter=drafter,
            clock=clock or (itertools.count().__next__ if drafter is not None else (lambda: 0.0)),
        ),
        limit=limit,
        files=files,
        resources=ExitStack(),
    )


def fake_embedder(
    encoder: Encoder,
    *,
    vocabulary: FakeVocabulary | None = None,
    limit: int = 32,
    rerank_format: RerankFormat | None = None,
) -> Engine:
    """A real engine that makes embeddings, or scores, on a fake encoder."""
    vocabulary = vocabulary or FakeVocabulary()
    prompts = PromptTokenizer(vocabulary, None, model_name="Fake")
    return Engine(
        model_info(embedding=True, n_ctx=limit),
        vocabulary=vocabulary,
        prompts=prompts,
        constraints=ConstraintCompiler(vocabulary, object),
        scheduler=None,
        embedder=Embedder(
            EmbeddingScheduler(encoder),
            vocabulary=vocabulary,
            prompts=prompts,
            limit=limit,
            model_name="Fake",
            rerank_format=rerank_format,
        ),
        limit=limit,
        resources=ExitStack(),
    )


def plan_of(job: GenerateJob) -> SamplingPlan:
    return SamplingPlanner(FakeVocabulary()).plan(job.sampling)


def model_info(*, sees_pictures: bool = False, embedding: bool = False, n_ctx: int = 512) -> ModelInfo:
    return ModelInfo(
        name="Fake",
        n_ctx=n_ctx,
        n_ctx_train=n_ctx,
        n_vocab=FakeVocabulary.n_tokens,
        n_embd=2,
        n_params=0,
        size_bytes=0,
        chat_template=None,
        bos_text="<s>",
        eos_text="<end>",
        eot_text="",
        adds_bos=False,
        sees_pictures=sees_pictures,
        embedding=embedding,
        n_gpu_layers=0,
    )


@dataclass(slots=True)
class Run:
    """What came of some jobs: each one's text, token ids, and last event."""

    texts: dict[str, str] = field(default_factory=dict)
    ids: dict[str, list[int]] = field(default_factory=dict)
    ends: dict[str, JobEvent] = field(default_factory=dict)
    events: list[JobEvent] = field(default_factory=list)

    def done(self, job: str) -> Done:
        end = self.ends[job]
        assert isinstance(end, Done), end
        return end


def run(engine: Engine, *jobs: GenerateJob) -> Run:
    """Submit jobs together and step until the engine rests."""
    for job in jobs:
        engine.submit(engine.prepare(job))
    result = Run(defaultdict(str), defaultdict(list))
    while engine.busy:
        for event in engine.step():
            result.events.append(event)
            if isinstance(event, Tokens):
                result.texts[event.id] += "".join(piece.text for piece in event.pieces)
                result.ids[event.id] += [piece.token_id for piece in event.pieces]
            else:
                result.ends[event.id] = event
    return result


def say(job: str, text: str, *, max_tokens: int | None = 8, **options: object) -> GenerateJob:
    """A job that takes the most likely tokens after a text."""
    sampling = options.pop("sampling", SamplingParams(temperature=0))
    return GenerateJob(job, (PlainText(text),), sampling, max_tokens=max_tokens, **options)  # type: ignore[arg-type]
