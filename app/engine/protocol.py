"""What crosses the border between the program and an engine: jobs down, events up, all frozen values.

The same values are used when the engine runs on a thread of this process. They are pickled only between this program and its
own child, over a pipe that asks for a random key; both are always the same build, and `PROTOCOL_VERSION` says so in the hello.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from app.domain.errors import AppError
from app.domain.generation import (
    EmbeddingResult,
    FinishReason,
    Pooling,
    RerankResult,
    SamplingParams,
    Timings,
    Truncation,
    Usage,
)
from app.domain.memory import Device, MemoryPlan
from app.domain.prompt import Constraint, Piece, PromptSegment, ReasoningLimit
from app.domain.stats import EngineStats

__all__ = [
    "PROTOCOL_VERSION",
    "Cancel",
    "Command",
    "DetokenizeJob",
    "Detokenized",
    "Done",
    "EmbedJob",
    "Embedded",
    "EngineConfig",
    "EngineEvent",
    "Finish",
    "Forget",
    "Frame",
    "GenerateJob",
    "Job",
    "JobFailed",
    "Load",
    "LoadFailed",
    "LoadProgress",
    "LoraAdapter",
    "ModelInfo",
    "PromptProgress",
    "Ready",
    "RerankJob",
    "Reranked",
    "RopeScaling",
    "Saving",
    "Shutdown",
    "Standing",
    "Survey",
    "Surveyed",
    "TokenizeJob",
    "Tokenized",
    "Tokens",
]

PROTOCOL_VERSION = 6


# ---------------------------------------------------------------------------------------------------------------- set-up
@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How positions beyond the trained context are told. "", 0 and 0.0 leave a value to the model's file.

    `type` is "none", "linear", "yarn" or "longrope". `factor` is how many times the trained context, `original_ctx`, fits.
    """

    type: str = ""
    factor: float = 0.0
    freq_base: float = 0.0
    original_ctx: int = 0

    def stretched(self, n_ctx_train: int) -> int:
        """The longest text that a model can follow which was trained for `n_ctx_train` tokens."""
        if self.type in ("linear", "yarn", "longrope") and self.factor:
            return max(n_ctx_train, round((self.original_ctx or n_ctx_train) * self.factor))
        return n_ctx_train


@dataclass(frozen=True, slots=True)
class LoraAdapter:
    path: Path
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How to load one model.

    `n_ctx` counts the cells all requests share; 0 chooses from the model and the machine, but no fewer than `least_ctx`.
    `n_parallel` is how many requests are decoded together. `n_threads` 0 means the physical cores. `n_gpu_layers` None offloads
    as many layers as fit, 0 none. `embedding` makes a context that returns pooled vectors, or with RANK scores, and no text.
    `pooling` None asks the file.

    Finished prompts that leave the model's memory are kept in `cache_memory_bytes` of the host's, and those of conversations in
    `cache_folder`, whose files of all models together may take `cache_disk_bytes`. `n_draft` is how many tokens may be guessed
    ahead at once: by looking them up in the text so far, or by the smaller model `draft_path`; 0 guesses none.
    `devices` are names of GPUs to use, () all of them; `tensor_split` is the share of each. `flash_attention` None uses it
    where the devices can. `memory_check` False loads also what does not fit by the plan. `memory_limit_bytes` bounds what the
    model takes of all devices together, 0 does not. `memory_reserved_bytes` of host memory are spoken for though the system
    calls them free: other models' files that are mapped. `memory_returned` is what each device gets back before the model is
    loaded, by name: what other models hold that leave for it.
    """

    model_path: Path
    projector_path: Path | None = None
    embedding: bool = False
    n_ctx: int = 0
    least_ctx: int = 0
    n_parallel: int = 4
    n_threads: int = 0
    n_gpu_layers: int | None = None
    n_batch: int = 2048
    n_ubatch: int = 512
    pooling: Pooling | None = None
    cache_memory_bytes: int = 1024**3
    cache_folder: Path | None = None
    cache_disk_bytes: int = 4 * 1024**3
    n_draft: int = 8
    draft_path: Path | None = None
    devices: tuple[str, ...] = ()
    tensor_split: tuple[float, ...] = ()
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    flash_attention: bool | None = None
    use_mmap: bool = True
    use_mlock: bool = False
    rope: RopeScaling = RopeScaling()
    adapters: tuple[LoraAdapter, ...] = ()
    memory_check: bool = True
    memory_limit_bytes: int = 0
    memory_reserved_bytes: int = 0
    memory_returned: tuple[tuple[str, int], ...] = ()

    def absolute(self) -> EngineConfig:
        """The same for a process that has another current folder."""
        projector = self.projector_path.absolute() if self.projector_path is not None else None
        adapters = tuple(replace(adapter, path=adapter.path.absolute()) for adapter in self.adapters)
        draft = self.draft_path.absolute() if self.draft_path is not None else None
        folder = self.cache_folder.absolute() if self.cache_folder is not None else None
        return replace(
            self,
            model_path=self.model_path.absolute(),
            projector_path=projector,
            adapters=adapters,
            draft_path=draft,
            cache_folder=folder,
        )


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the loaded model says of itself. Token texts are "" where the model has no such token.

    `devices` are those it computes on. `memory` is what was planned for it, None where llama.cpp would not say beforehand.
    `resident_bytes` of its process are in RAM after loading; 0 where the system does not tell. `mapped_bytes` of its weights
    are files in the system's cache, which the system calls free.
    `embedding`: it makes vectors or, with `reranking`, scores, and can't write. `most_jobs` run and wait at the same time; 0 is
    no bound.
    """

    name: str
    n_ctx: int
    n_ctx_train: int
    n_vocab: int
    n_embd: int
    n_params: int
    size_bytes: int
    chat_template: str | None
    bos_text: str
    eos_text: str
    eot_text: str
    adds_bos: bool
    sees_pictures: bool
    embedding: bool
    n_gpu_layers: int
    devices: tuple[str, ...] = ()
    sampling: SamplingParams = field(default_factory=SamplingParams)
    fim_prefix: str = ""
    fim_suffix: str = ""
    fim_middle: str = ""
    hears: bool = False
    memory: MemoryPlan | None = None
    resident_bytes: int = 0
    mapped_bytes: int = 0
    reranking: bool = False
    most_jobs: int = 0


# ------------------------------------------------------------------------------------------------------------------ jobs
@dataclass(frozen=True, slots=True)
class GenerateJob:
    """One answer. `id` is unique within the engine's life. `max_tokens` None: until the model stops or the context is full.

    `add_special` puts the model's own BOS in front where its tokenizer asks for one (a chat template usually brings its own;
    a doubled one is dropped). `top_logprobs` None: none; 0: of the chosen tokens only. With `echo` the prompt's tokens come
    before the answer's, with log probabilities like theirs; the first one's is not a number. `owner` names the conversation,
    whose prompt may then be kept on the disk (see `Forget`). A `preferred` job is begun before others that wait.
    """

    id: str
    prompt: tuple[PromptSegment, ...]
    sampling: SamplingParams
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    constraint: Constraint | None = None
    reasoning_limit: ReasoningLimit | None = None
    top_logprobs: int | None = None
    echo: bool = False
    add_special: bool = True
    owner: str | None = None
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class EmbedJob:
    id: str
    inputs: tuple[str | tuple[int, ...], ...]
    truncation: Truncation = Truncation.NONE


@dataclass(frozen=True, slots=True)
class RerankJob:
    id: str
    query: str
    documents: tuple[str, ...]
    truncation: Truncation = Truncation.NONE


@dataclass(frozen=True, slots=True)
class TokenizeJob:
    id: str
    prompt: tuple[PromptSegment, ...]
    add_special: bool = False


@dataclass(frozen=True, slots=True)
class DetokenizeJob:
    """`pieces` asks for what each token stands for, too."""

    id: str
    ids: tuple[int, ...]
    pieces: bool = False


Job: TypeAlias = GenerateJob | EmbedJob | RerankJob | TokenizeJob | DetokenizeJob


@dataclass(frozen=True, slots=True)
class Load:
    """The first command to a worker."""

    config: EngineConfig
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class Survey:
    """In place of `Load`, any number of times: say what there is, and how `config` would be loaded."""

    config: EngineConfig | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    id: str


@dataclass(frozen=True, slots=True)
class Finish:
    """End a `GenerateJob` as if the model had stopped there; its `Done` follows."""

    id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Keep nothing of what was computed for a conversation."""

    owner: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Finish the current step, keep what is to be kept on the disk, free everything, and end."""


Command: TypeAlias = Load | Survey | Job | Cancel | Finish | Forget | Shutdown


# ---------------------------------------------------------------------------------------------------------------- events
@dataclass(frozen=True, slots=True)
class LoadProgress:
    fraction: float


@dataclass(frozen=True, slots=True)
class Ready:
    info: ModelInfo


@dataclass(frozen=True, slots=True)
class LoadFailed:
    error: AppError


@dataclass(frozen=True, slots=True)
class Saving:
    """It ends, but writes prompts to the disk first: that may take seconds."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the engine has done and holds; about once a second while it works, and when it comes to rest."""

    stats: EngineStats


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The answer to `Survey`. `plan` may be one that does not fit; None if no model was asked for or nothing can be told."""

    devices: tuple[Device, ...]
    plan: MemoryPlan | None = None


@dataclass(frozen=True, slots=True)
class PromptProgress:
    id: str
    done: int
    total: int
    reused: int


@dataclass(frozen=True, slots=True)
class Tokens:
    id: str
    pieces: tuple[Piece, ...]

    def __reduce__(self) -> tuple[type[Tokens], tuple[object, ...]]:
        # As in `Piece`.
        return Tokens, (self.id, self.pieces)


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of a `GenerateJob` that did not fail. `stopped_by` is the stop string that ended it, if one did."""

    id: str
    reason: FinishReason
    usage: Usage
    timings: Timings
    stopped_by: str | None = None


@dataclass(frozen=True, slots=True)
class Embedded:
    id: str
    result: EmbeddingResult


@dataclass(frozen=True, slots=True)
class Reranked:
    id: str
    result: RerankResult


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Ids of the prompt; a picture counts as one -1 per token it occupies."""

    id: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Detokenized:
    """`pieces` are the tokens' bytes one by one, control tokens spelled out; only where they were asked for."""

    id: str
    text: str
    pieces: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The last event of a job that failed."""

    id: str
    error: AppError


JobEvent: TypeAlias = PromptProgress | Tokens | Done | Embedded | Reranked | Tokenized | Detokenized | JobFailed
EngineEvent: TypeAlias = LoadProgress | Ready | LoadFailed | Surveyed | Saving | Standing | JobEvent
Frame: TypeAlias = tuple[EngineEvent, ...]
"""What crosses at once: events of one or more steps, of all sequences."""
