"""What crosses the border between the program and an engine: jobs down, events up, all frozen values.

The same values are used when the engine runs on a thread of this process. They are pickled only between this program and its
own child, over a pipe that asks for a random key; both are always the same build, and `PROTOCOL_VERSION` says so in the hello.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from app.domain.errors import AppError
from app.domain.generation import EmbeddingResult, FinishReason, SamplingParams, Timings, Usage
from app.domain.prompt import Constraint, Piece, PromptSegment
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
    "GenerateJob",
    "Job",
    "JobFailed",
    "Load",
    "LoadFailed",
    "LoadProgress",
    "ModelInfo",
    "PromptProgress",
    "Ready",
    "Saving",
    "Shutdown",
    "Standing",
    "TokenizeJob",
    "Tokenized",
    "Tokens",
]

PROTOCOL_VERSION = 2


# ---------------------------------------------------------------------------------------------------------------- set-up
@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How to load one model.

    `n_ctx` counts the cells all requests share; 0 chooses from the model and the machine. `n_parallel` is how many requests are
    decoded together. `n_threads` 0 means the physical cores. `n_gpu_layers` None offloads as many layers as fit, 0 none.
    `embedding` makes a context that returns pooled vectors instead of text.

    Finished prompts that leave the model's memory are kept in `cache_memory_bytes` of the host's, and those of conversations in
    `cache_folder`, whose files of all models together may take `cache_disk_bytes`. `n_draft` is how many tokens may be guessed
    ahead at once: by looking them up in the text so far, or by the smaller model `draft_path`; 0 guesses none.
    """

    model_path: Path
    projector_path: Path | None = None
    embedding: bool = False
    n_ctx: int = 0
    n_parallel: int = 4
    n_threads: int = 0
    n_gpu_layers: int | None = None
    n_batch: int = 2048
    n_ubatch: int = 512
    cache_memory_bytes: int = 256 * 1024**2
    cache_folder: Path | None = None
    cache_disk_bytes: int = 0
    n_draft: int = 8
    draft_path: Path | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the loaded model says of itself. Token texts are "" where the model has no such token."""

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


# ------------------------------------------------------------------------------------------------------------------ jobs
@dataclass(frozen=True, slots=True)
class GenerateJob:
    """One answer. `id` is unique within the engine's life. `max_tokens` None: until the model stops or the context is full.

    `add_special` puts the model's own BOS in front where its tokenizer asks for one (a chat template usually brings its own;
    a doubled one is dropped). `top_logprobs` None: none; 0: of the chosen tokens only. `owner` names the conversation, whose
    prompt may then be kept on the disk (see `Forget`). A `preferred` job is begun before others that wait.
    """

    id: str
    prompt: tuple[PromptSegment, ...]
    sampling: SamplingParams
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    constraint: Constraint | None = None
    top_logprobs: int | None = None
    add_special: bool = True
    owner: str | None = None
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class EmbedJob:
    id: str
    inputs: tuple[str | tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class TokenizeJob:
    id: str
    prompt: tuple[PromptSegment, ...]
    add_special: bool = False


@dataclass(frozen=True, slots=True)
class DetokenizeJob:
    id: str
    ids: tuple[int, ...]


Job: TypeAlias = GenerateJob | EmbedJob | TokenizeJob | DetokenizeJob


@dataclass(frozen=True, slots=True)
class Load:
    """The first command to a worker."""

    config: EngineConfig
    version: int = PROTOCOL_VERSION


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


Command: TypeAlias = Load | Job | Cancel | Finish | Forget | Shutdown


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
class PromptProgress:
    id: str
    done: int
    total: int
    reused: int


@dataclass(frozen=True, slots=True)
class Tokens:
    id: str
    pieces: tuple[Piece, ...]


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
class Tokenized:
    """Ids of the prompt; a picture counts as one -1 per token it occupies."""

    id: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Detokenized:
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The last event of a job that failed."""

    id: str
    error: AppError


JobEvent: TypeAlias = PromptProgress | Tokens | Done | Embedded | Tokenized | Detokenized | JobFailed
EngineEvent: TypeAlias = LoadProgress | Ready | LoadFailed | Saving | Standing | JobEvent
