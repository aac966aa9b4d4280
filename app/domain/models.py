"""Models: on this disk, on the hub, in memory."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from app.domain.generation import SamplingChoice
from app.domain.stats import EngineStats

__all__ = [
    "Capability",
    "DownloadProgress",
    "DownloadState",
    "FileCheck",
    "FileState",
    "InstalledModel",
    "LoadedModel",
    "MissingPart",
    "ModelDefaults",
    "ModelSource",
    "ModelState",
    "MovedFolder",
    "PartKind",
    "RemoteFile",
    "RemoteRepository",
    "Removal",
    "Verification",
]


class Capability(enum.StrEnum):
    CHAT = "chat"
    COMPLETION = "completion"
    VISION = "vision"
    AUDIO = "audio"
    TOOLS = "tools"
    REASONING = "reasoning"
    EMBEDDING = "embeddings"
    RERANK = "rerank"


class ModelSource(enum.StrEnum):
    """Where a file lives, and so whether it may be removed: only LIBRARY is our own folder.

    FOLDER is another folder that a person named, ADDED a single file, PATH one named for this run only; the rest are the stores
    of other programs, which are read where they are and never written.
    """

    BUILT_IN = "built-in"
    LIBRARY = "library"
    FOLDER = "folder"
    ADDED = "added"
    PATH = "path"
    OLLAMA = "ollama"
    LM_STUDIO = "lm-studio"
    HUGGING_FACE = "hugging-face"
    LLAMA_CPP = "llama.cpp"
    JAN = "jan"
    GPT4ALL = "gpt4all"


class PartKind(enum.StrEnum):
    PROJECTOR = "projector"
    SHARD = "shard"
    DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class MissingPart:
    """A file that a model lacks, and where it can be had: `repository` and `name` on the hub, "" where that is not known.

    `size_bytes` is 0 where it is not known.
    """

    kind: PartKind
    name: str
    size_bytes: int = 0
    repository: str = ""


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """How a model is meant to answer by the program that keeps it, where neither a request nor a person's settings say."""

    system_prompt: str = ""
    sampling: SamplingChoice = field(default_factory=SamplingChoice)


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A text or embedding model, or a reranker, with what belongs to it.

    `id` is what clients send as `model`, `also` what other programs call it. `files` are every file of it: shards first, then
    projectors, the draft model, and the adapters that belong to it.
    `problem` says why the model can't be used, None if it can; `missing` what it could use besides. `parameters` and
    `n_ctx_train` come from the header; 0 if it does not say. `repository` is where it came from, "" if nobody knows.
    """

    id: str
    name: str
    path: Path
    projector: Path | None
    files: tuple[Path, ...]
    size_bytes: int
    architecture: str
    quantization: str
    parameters: int
    n_ctx_train: int
    capabilities: frozenset[Capability]
    source: ModelSource
    modified: datetime
    license: str = ""
    description: str = ""
    problem: str | None = None
    draft: Path | None = None
    missing: tuple[MissingPart, ...] = ()
    repository: str = ""
    adapters: tuple[Path, ...] = ()
    also: tuple[str, ...] = ()
    defaults: ModelDefaults = field(default_factory=ModelDefaults)
    instead: str = ""
    """The short name of the same model on the hub, where this file is of no use."""

    def can(self, capability: Capability) -> bool:
        return capability in self.capabilities

    def is_from(self, repository: str) -> bool:
        """Whether it came from this repository, as far as its note or its folders tell."""
        return self.repository == repository or f"/{repository}/" in self.path.as_posix()


@dataclass(frozen=True, slots=True)
class Removal:
    """A model that was taken off the list. `freed_bytes` come back when the program closes; until then it can be undone."""

    id: str
    model: InstalledModel
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class MovedFolder:
    """Where the models are now. `left` are files that could not be deleted in the old place, which is listed as long as there
    are any."""

    folder: Path
    left: tuple[Path, ...] = ()


class FileState(enum.StrEnum):
    """UNKNOWN: nobody told what it should be, and its header says nothing against it."""

    INTACT = "intact"
    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """A file that was compared with what it was when it came. `sha256` is what was found, "" if that was not needed."""

    path: Path
    state: FileState
    sha256: str = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of a model's files found."""

    model: InstalledModel
    files: tuple[FileCheck, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong, as far as can be told."""
        return all(file.state in (FileState.INTACT, FileState.UNKNOWN) for file in self.files)


class ModelState(enum.StrEnum):
    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model's place in memory at one moment. `progress` is 0 … 1 while loading; `n_ctx` 0 until it is ready.

    `memory_bytes` is what it takes of all devices, 0 where that is not known; `n_gpu_layers` of its layers are on GPUs.
    `unload_at` is when it leaves the memory unless it is used before; None while it is in use or to be kept.
    `stats` are a second old at most; None unless it is ready. `warning` says what may be wrong with its answers.
    """

    id: str
    state: ModelState
    progress: float = 0.0
    n_ctx: int = 0
    active_requests: int = 0
    pid: int | None = None
    error: str | None = None
    memory_bytes: int = 0
    n_gpu_layers: int = 0
    unload_at: datetime | None = None
    stats: EngineStats | None = field(default=None, compare=False)
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One model on the hub: a GGUF, or all shards of one.

    `sha256` (None where the hub has none) and `sizes` are in the order of `names`; `sizes` may be left out for a single file.
    `urls`, in the same order, say where the bytes are if that is not the hub.
    """

    names: tuple[str, ...]
    size_bytes: int
    quantization: str
    sha256: tuple[str | None, ...]
    is_projector: bool = False
    sizes: tuple[int, ...] = ()
    urls: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.names[0]


@dataclass(frozen=True, slots=True)
class RemoteRepository:
    """A repository on the hub. `revision` is the commit its listing was read from. 0, "" and None: the hub does not say."""

    id: str
    revision: str
    files: tuple[RemoteFile, ...]
    gated: bool = False
    license: str = ""
    downloads: int = 0
    likes: int = 0
    updated: datetime | None = None
    architecture: str = ""
    parameters: int = 0
    n_ctx_train: int = 0
    capabilities: frozenset[Capability] = frozenset()
    base_model: str = ""

    @property
    def models(self) -> tuple[RemoteFile, ...]:
        return tuple(file for file in self.files if not file.is_projector)

    @property
    def projectors(self) -> tuple[RemoteFile, ...]:
        return tuple(file for file in self.files if file.is_projector)


class DownloadState(enum.StrEnum):
    """WAITING is the pause before another try; PAUSED was asked for by a person, or by a disk that is full."""

    QUEUED = "queued"
    RUNNING = "running"
    VERIFYING = "verifying"
    WAITING = "waiting"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """A download at one moment. `eta_s` None while it can't be told.

    `error` is a sentence: why it FAILED, why it is WAITING, or why it was PAUSED if nobody asked for that. `retry_at` is when a
    WAITING one goes on by itself. `n_files` of it are on their way or there: shards, the projector.
    """

    id: str
    repository: str
    label: str
    state: DownloadState
    done_bytes: int
    total_bytes: int
    bytes_per_s: float = 0.0
    eta_s: float | None = None
    error: str | None = None
    retry_at: datetime | None = None
    n_files: int = 1
