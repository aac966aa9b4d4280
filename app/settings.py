"""What a person can set, and the file it is kept in."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.domain.endpoints import OFFICIAL_HUB, hub_endpoint, proxy_address
from app.domain.errors import SettingsError
from app.domain.generation import SamplerStep
from app.domain.observable import Observable
from app.domain.origins import host_name, web_origin

__all__ = ["DEFAULT_PORT", "AdapterSettings", "ModelSettings", "SamplingSettings", "Settings", "SettingsStore"]

DEFAULT_PORT = 8642

_log = logging.getLogger(__name__)


CacheType: TypeAlias = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
FlashAttention: TypeAlias = Literal["auto", "on", "off"]
RopeType: TypeAlias = Literal["", "none", "linear", "yarn", "longrope"]
GpuLayers: TypeAlias = Literal["auto"] | int
Count: TypeAlias = Annotated[int, Field(ge=0)]
Threads: TypeAlias = Annotated[int, Field(ge=0, le=512)]
Parallel: TypeAlias = Annotated[int, Field(ge=1, le=64)]
Batch: TypeAlias = Annotated[int, Field(ge=32, le=65536)]
Draft: TypeAlias = Annotated[int, Field(ge=0, le=8)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Finite: TypeAlias = Annotated[float, Field(ge=-100, le=100)]
# -1 means all of them.
LastTokens: TypeAlias = Annotated[int, Field(ge=-1, le=2**31 - 1)]
Shares: TypeAlias = tuple[Annotated[float, Field(ge=0)], ...]
Origins: TypeAlias = tuple[Annotated[str, AfterValidator(web_origin)], ...]
Hosts: TypeAlias = tuple[Annotated[str, AfterValidator(host_name)], ...]
HubEndpoint: TypeAlias = Annotated[str, AfterValidator(hub_endpoint)]
ProxyAddress: TypeAlias = Annotated[str, AfterValidator(proxy_address)]
# Seconds; -1 means for ever.
KeepAlive: TypeAlias = Annotated[float, Field(ge=-1, allow_inf_nan=False)]


ReasoningEffort: TypeAlias = Literal["auto", "none", "on", "minimal", "low", "medium", "high", "xhigh", "max"]
# Tokens; -1 sets no bound.
ReasoningBudget: TypeAlias = Annotated[int, Field(ge=-1)]


# As clients send it; a name with blanks around it could never be sent.
AliasName: TypeAlias = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\s\x00-\x1f](.*[^\s])?$")]


def _expandable(path: Path) -> Path:
    try:
        path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"there is no folder {path.parts[0]} on this computer") from error
    if "\0" in str(path):
        raise ValueError("no path holds a NUL")
    return path


def _sampler_steps(written: object) -> object:
    """By any of their names; as one text they are joined by ";"."""
    steps = written.split(";") if isinstance(written, str) else written
    return tuple(SamplerStep.named(str(step)) for step in steps) if isinstance(steps, (list, tuple)) else steps


def _in_order(steps: tuple[SamplerStep, ...]) -> tuple[SamplerStep, ...]:
    if not SamplerStep.is_order(steps):
        raise ValueError("each step once, 'penalties' and 'dry' before all others")
    return steps


OwnPath: TypeAlias = Annotated[Path, AfterValidator(_expandable)]
SamplerOrder: TypeAlias = Annotated[tuple[SamplerStep, ...], BeforeValidator(_sampler_steps), AfterValidator(_in_order)]
Breakers: TypeAlias = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=16)]


class AdapterSettings(BaseModel):
    """A LoRA adapter and how strongly it is applied."""

    model_config = ConfigDict(frozen=True, extra="allow")

    path: Path
    scale: float = Field(default=1.0, ge=-100, le=100)


class SamplingSettings(BaseModel):
    """How a model samples where a request does not say; None leaves a value to the model's file. See `SamplingParams`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    temperature: float | None = Field(default=None, ge=0, le=100)
    dynatemp_range: float | None = Field(default=None, ge=0, le=100)
    dynatemp_exponent: float | None = Field(default=None, ge=0, le=100)
    top_k: Count | None = None
    top_p: Share | None = None
    min_p: Share | None = None
    typical_p: Share | None = None
    top_n_sigma: Finite | None = None
    xtc_probability: Share | None = None
    xtc_threshold: Share | None = None
    mirostat: Literal[0, 1, 2] | None = None
    mirostat_tau: float | None = Field(default=None, ge=0, le=100)
    mirostat_eta: Share | None = None
    adaptive_target: float | None = Field(default=None, ge=-1, le=1)
    adaptive_decay: float | None = Field(default=None, ge=0, le=0.99)
    dry_multiplier: Finite | None = None
    dry_base: float | None = Field(default=None, ge=1, le=100)
    dry_allowed_length: Count | None = None
    dry_penalty_last_n: LastTokens | None = None
    dry_sequence_breakers: Breakers | None = None
    repeat_penalty: float | None = Field(default=None, gt=0, le=100)
    frequency_penalty: Finite | None = None
    presence_penalty: Finite | None = None
    repeat_last_n: LastTokens | None = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None
    # The order of the steps; one that is not named is not taken.
    samplers: SamplerOrder | None = None


class ModelSettings(BaseModel):
    """What holds for one model in place of the general setting of the same name; None leaves that as it is.

    A pinned model stays in memory once it is there. `system_prompt` is said first in conversations that have none of their own;
    `note` is the person's, for nobody else.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    n_ctx: Count | None = None
    n_parallel: Parallel | None = None
    n_threads: Threads | None = None
    gpu_layers: GpuLayers | None = None
    devices: tuple[str, ...] | None = None
    tensor_split: Shares | None = None
    cache_type_k: CacheType | None = None
    cache_type_v: CacheType | None = None
    flash_attention: FlashAttention | None = None
    n_batch: Batch | None = None
    n_ubatch: Batch | None = None
    use_mmap: bool | None = None
    use_mlock: bool | None = None
    rope_type: RopeType | None = None
    rope_factor: float | None = Field(default=None, ge=0, le=1024)
    rope_freq_base: float | None = Field(default=None, ge=0)
    rope_original_ctx: Count | None = None
    adapters: tuple[AdapterSettings, ...] | None = None
    n_draft: Draft | None = None
    draft_model: Path | None = None
    memory_check: bool | None = None
    keep_alive_s: KeepAlive | None = None
    reasoning_effort: ReasoningEffort | None = None
    reasoning_budget: ReasoningBudget | None = None
    chat_template: str | None = None
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    system_prompt: str | None = None
    note: str = ""
    pinned: bool = False


class Settings(BaseModel):
    """Frozen: change it with `SettingsStore.update`. Fields a newer version wrote are kept in the file and ignored."""

    model_config = ConfigDict(frozen=True, extra="allow")

    # Server
    server_enabled: bool = True
    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    # One key in plain text; keys that can be named and revoked are made with `hearth keys`.
    api_key: str = ""
    # Whether programs on this computer must send a key too. Beyond loopback everyone must.
    require_api_key: bool = False
    # Web pages and names of this computer that are let in besides its own.
    allowed_origins: Origins = ()
    allowed_hosts: Hosts = ()
    # Whether pictures are fetched from public https addresses that a request names.
    fetch_images: bool = False
    # Engine
    n_parallel: Parallel = 4
    n_ctx: Count = 0
    n_threads: Threads = 0
    gpu_layers: GpuLayers = "auto"
    # Names of GPUs as `hearth devices` lists them, and the share of each; empty means all, by their free memory.
    devices: tuple[str, ...] = ()
    tensor_split: Shares = ()
    cache_type_k: CacheType = "f16"
    cache_type_v: CacheType = "f16"
    flash_attention: FlashAttention = "auto"
    n_batch: Batch = 2048
    n_ubatch: Batch = 512
    use_mmap: bool = True
    use_mlock: bool = False
    # "" and 0 leave a value to the model's file.
    rope_type: RopeType = ""
    rope_factor: float = Field(default=0.0, ge=0, le=1024)
    rope_freq_base: float = Field(default=0.0, ge=0)
    rope_original_ctx: Count = 0
    adapters: tuple[AdapterSettings, ...] = ()
    # How embeddings are pooled; auto asks the model.
    pooling: Literal["auto", "mean", "cls", "last"] = "auto"
    # How much models think where a request does not say; auto leaves it to the model.
    reasoning_effort: ReasoningEffort = "auto"
    reasoning_budget: ReasoningBudget = -1
    # "" is the model's own; else the name of one that comes with Hearth, or a file.
    chat_template: str = ""
    # Memory
    max_loaded_models: int = Field(default=2, ge=1)
    # Finished prompts kept in the host's memory per model, and prompts of conversations kept on the disk; 0 keeps none.
    prompt_cache_memory_mb: int = Field(default=1024, ge=0)
    prompt_cache_disk_mb: int = Field(default=4096, ge=0)
    # Tokens guessed ahead at once; 0 guesses none. With a small model of the same family they are its guesses.
    n_draft: Draft = 8
    draft_model: Path | None = None
    # For all models together, on all devices; 0 leaves it to what is free.
    memory_limit_gib: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    memory_check: bool = True
    keep_alive_s: KeepAlive = 600.0
    # Models
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    models_folders: tuple[OwnPath, ...] = ()
    added_files: tuple[OwnPath, ...] = ()
    # Names of one's own for models.
    aliases: dict[AliasName, AliasName] = Field(default_factory=dict)
    # Answers requests for models that are not installed; "" has them refused.
    fallback_model: str = ""
    # Where downloads go; None is the usual place. `models_folders` are read besides.
    models_folder: OwnPath | None = None
    # Whether models of other programs on this computer are listed too.
    other_stores: bool = True
    # The hub, or a mirror of it.
    hub_endpoint: HubEndpoint = OFFICIAL_HUB
    # An http, https or socks5 address; "" takes the system's.
    hub_proxy: ProxyAddress = ""
    # The hub is never asked for anything.
    hub_offline: bool = False
    simultaneous_downloads: int = Field(default=2, ge=1, le=16)
    # Connections for one large file.
    download_connections: int = Field(default=4, ge=1, le=16)
    # For all downloads together, in megabytes (10^6) a second; 0 sets no limit.
    download_limit_mb_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    # Window
    theme: Literal["system", "light", "dark"] = "system"
    last_model: str = "ember"
    system_prompt: str = ""
    told_about_tray: bool = False


class SettingsStore:
    """Reads and writes one settings file. Owned by the service loop; listeners are called there.

    `overrides` hold for this run only (the command line): they win over the file and are never written to it.
    """

    def __init__(self, file: Path, *, overrides: Mapping[str, Any] | None = None) -> None:
        """Raises SettingsError, naming the field, if the file or an override is wrong; a missing file gives the defaults."""
        self._file = file
        self._overrides = dict(overrides or {})
        self._stamp = _stamp(file)
        self._stored = _read(file)
        self._current = _validated({**self._stored.model_dump(), **self._overrides})
        self.changed: Observable[Settings] = Observable()

    @property
    def current(self) -> Settings:
        return self._current

    def update(self, **changes: Any) -> Settings:
        """Check, save and announce changed fields. Raises SettingsError and changes nothing if one is wrong."""
        self.reread()
        stored = _validated({**self._stored.model_dump(), **changes})
        overrides = {name: value for name, value in self._overrides.items() if name not in changes}
        current = _validated({**stored.model_dump(), **overrides})
        if stored != self._stored:
            _write(self._file, stored)
            self._stamp = _stamp(self._file)
        self._stored, self._overrides = stored, overrides
        self._become(current)
        return current

    def reread(self) -> None:
        """Take over what another program, or a person with an editor, wrote into the file since. Costs next to nothing if
        nobody did; a file that is gone or wrong changes nothing."""
        stamp = _stamp(self._file)
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            stored = _read(self._file)
            current = _validated({**stored.model_dump(), **self._overrides})
        except SettingsError as error:
            _log.warning("The settings stay as they were: %s", error)
            return
        self._stored = stored
        self._become(current)

    def _become(self, current: Settings) -> None:
        if current != self._current:
            self._current = current
            self.changed.notify(current)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What is another after each writing of the file; None without a file."""
    try:
        status = file.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _validated(values: dict[str, Any]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from error


def _read(file: Path) -> Settings:
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}.") from error
    try:
        return Settings.model_validate(json.loads(text))
    except ValidationError as error:
        raise SettingsError(f"{file}: {_sentence(error)}") from error
    except ValueError as error:
        raise SettingsError(f"{file} is not valid JSON: {error}. Mend or delete it.") from error


def _write(file: Path, settings: Settings) -> None:
    """Replace the file in one step, so that a crash leaves the old or the new one."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".new")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(settings.model_dump_json(indent=2))
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingsError(f"{file} can't be written: {error.strerror}.") from error


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    # What a check of our own says is a sentence already.
    told = first["msg"].removeprefix("Value error, ").removesuffix(".")
    return f"{'.'.join(str(part) for part in first['loc'])}: {told}."
