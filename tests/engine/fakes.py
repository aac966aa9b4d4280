"""A vocabulary, a decoder and an encoder without llama.cpp, strict about how they are used."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from app.domain.generation import SamplingParams
from app.domain.prompt import PlainText
from app.engine.batch import Batch
from app.engine.constraint import ConstraintCompiler
from app.engine.decoder import ByteArray, DecodeResult, Encoder, FloatArray, IntArray, MemoryKind, PictureTokens, Projector
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
    "model_info",
    "plan_of",
    "run",
    "say",
]

BOS, END, TOOL = 256, 257, 258
_SPECIAL = {"<s>": BOS, "<end>": END, "<tool>": TOOL}


class FakeVocabulary:
    """A token is a byte, or one of three control tokens."""

    n_tokens = 259
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


class FakeChain:
    """Draws the candidate that its seed points at."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.closed = False

    def choose(self, ids: IntArray, logits: FloatArray, *, cut: bool = False) -> int:
        return int(ids[self._random.integers(len(ids))])

    def accept(self, token: int) -> None: ...

    def close(self) -> None:
        self.closed = True


def letters(tokens: Sequence[int]) -> int:
    """A letter that depends on every token before it: a wrong prefix gives a wrong answer."""
    value = 7
    for token in tokens:
        value = (value * 31 + token) % 1_000_003
    return ord("a") + value % 26


@dataclass(slots=True)
class _Cell:
    token: int
    owners: set[int] = field(default_factory=set)


class FakeDecoder:
    """Remembers every token of every sequence, refuses gaps, and counts cells by itself.

    `answer` chooses the next token from all before it. `results` are returned by the next decodes instead of OK.
    """

    def __init__(
        self,
        *,
        answer: Callable[[Sequence[int]], int] = letters,
        n_cells: int = 1024,
        n_sequences: int = 8,
        n_batch: int = 512,
        memory: MemoryKind = MemoryKind.PLAIN,
        n_window: int = 0,
    ) -> None:
        self._answer = answer
        self.n_cells = n_cells
        self.n_sequences = n_sequences
        self.n_window = n_window
        self.memory = memory
        self.batch = Batch(n_batch)
        self.results: list[DecodeResult] = []
        self.picture_results: list[DecodeResult] = []
        self.batches: list[dict[int, int]] = []
        self.interrupted = 0
        self.closed = False
        self.chains: list[FakeChain] = []
        self.saves = 0
        self.restores = 0
        self.refuse_restore = False
        self._sequences: dict[int, list[_Cell]] = {}
        # What a checkpoint allows a sequence to be cut to, and sequences that need one.
        self._rest: dict[int, list[int]] = {}
        self._holed: set[int] = set()
        self._rows: list[FloatArray] = []

    @property
    def used_cells(self) -> int:
        return len({id(cell) for cells in self._sequences.values() for cell in cells})

    def decode(self) -> DecodeResult:
        if self.results:
            result = self.results.pop(0)
            if result is not DecodeResult.OK:
                return result
        batch, self._rows = self.batch, []
        assert 0 < batch.n_tokens <= batch.capacity
        if self.used_cells + batch.n_tokens > self.n_cells:
            return DecodeResult.NO_SPACE
        self.batches.append({})
        for i in range(batch.n_tokens):
            self._append(int(batch.sequences[i]), int(batch.tokens[i]), int(batch.positions[i]), bool(batch.outputs[i]))
        return DecodeResult.OK

    def decode_picture(self, picture: PictureTokens, *, sequence: int, position: int) -> DecodeResult:
        if self.picture_results:
            result = self.picture_results.pop(0)
            if result is not DecodeResult.OK:
                self._append(sequence, 1000, position, False)
                return result
        for i in range(picture.n_tokens):
            self._append(sequence, 1000 + picture.key[i % len(picture.key)], position + i, False)
        return DecodeResult.OK

    def _append(self, sequence: int, token: int, position: int, output: bool) -> None:
        assert 0 <= sequence < self.n_sequences
        cells = self._sequences.setdefault(sequence, [])
        assert position == len(cells), f"position {position} after {len(cells)}"
        assert sequence not in self._holed, "a shared beginning without its checkpoint"
        assert sequence not in self._rest, "not cut to its checkpoint"
        cells.append(_Cell(token, {sequence}))
        if self.batches:
            self.batches[-1][sequence] = self.batches[-1].get(sequence, 0) + 1
        if output:
            row = np.linspace(-1, 0, FakeVocabulary.n_tokens, dtype=np.float32)
            row[self._answer([cell.token for cell in cells])] = 10
            self._rows.append(row)

    def logits(self) -> FloatArray:
        return np.stack(self._rows)

    def remove(self, sequence: int, start: int) -> bool:
        cells = self._sequences.get(sequence, [])
        if 0 < start < len(cells) and self._rest.get(sequence) != [cell.token for cell in cells[:start]]:
            assert self.memory is not MemoryKind.RECURRENT
            if self.memory is MemoryKind.WINDOWED:
                assert self.first_position(sequence) <= max(0, start - self.n_window)
        self._sequences[sequence] = cells[:start]
        self._rest.pop(sequence, None)
        if start <= 0:
            self._holed.discard(sequence)
        return True

    def copy(self, source: int, target: int, end: int) -> None:
        assert not self._sequences.get(target)
        self._sequences[target] = self._sequences[source][:end]
        for cell in self._sequences[target]:
            cell.owners.add(target)
        # Such a copy has a hole until a checkpoint is put into it.
        self._holed.discard(target)
        if self.memory is not MemoryKind.PLAIN:
            self._holed.add(target)

    def save(self, sequence: int, *, uncuttable: bool = False) -> ByteArray | None:
        self.saves += 1
        tokens = [cell.token for cell in self._sequences.get(sequence, [])]
        return np.array(tokens, np.int32).view(np.uint8)

    def restore(self, sequence: int, data: ByteArray, *, uncuttable: bool = False) -> bool:
        if self.refuse_restore:
            self._sequences[sequence] = []
            return False
        tokens = data.view(np.int32).tolist()
        if uncuttable:
            assert self.memory is not MemoryKind.PLAIN
            cells = self._sequences.get(sequence, [])
            assert [cell.token for cell in cells[: len(tokens)]] == tokens, "a checkpoint of other tokens"
            self._rest[sequence] = tokens
            self._holed.discard(sequence)
            return True
        if self.used_cells - len(self._sequences.get(sequence, ())) + len(tokens) > self.n_cells:
            return False
        self._sequences[sequence] = [_Cell(token, {sequence}) for token in tokens]
        self._holed.discard(sequence)
        self.restores += 1
        return True

    def first_position(self, sequence: int) -> int:
        cells = self._sequences.get(sequence, [])
        return max(0, len(cells) - 2 * self.n_window) if cells else -1

    def next_position(self, sequence: int) -> int:
        return len(self._sequences.get(sequence, []))

    def clear(self) -> None:
        self._sequences.clear()

    def interrupt(self) -> None:
        self.interrupted += 1

    def chain(self, params: SamplingParams, *, seed: int) -> FakeChain:
        self.chains.append(FakeChain(seed))
        return self.chains[-1]

    def close(self) -> None:
        self.closed = True


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
) -> Engine:
    """A real engine on a fake decoder; grammars are left out, and nothing takes any time."""
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
            clock=lambda: 0.0,
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
