"""What loading a model would take: llama.cpp is asked in dry runs, which read the header and allocate next to nothing.

Called in the process that will load, before anything is. Of a dry run reading the vocabulary costs most: 5 ms for a thousand
tokens, 0.4 s for 128 thousand; another context on it costs 15 ms. Tried on llama.cpp 0.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from app.domain.generation import Pooling
from app.domain.memory import HOST, Device, MemoryPlan
from app.engine.draft_need import draft_bytes
from app.engine.llama.allocations import Allocations, listening, parse
from app.engine.llama.backend import clean_reason, devices
from app.engine.llama.context import ContextSize, LlamaDecoder
from app.engine.llama.encoder import EncoderSize, LlamaEncoder, longest_input
from app.engine.llama.gguf_file import GgufFile, Tensor, files_of, read_gguf
from app.engine.llama.model import LlamaModel
from app.engine.llama.parameters import ContextOptions, ModelOptions
from app.engine.memory_needs import ModelParts, needs_of
from app.engine.memory_plan import Wish, choose, extrapolated
from app.engine.plan import MAX_DRAFT_ROWS
from app.engine.protocol import EngineConfig

__all__ = [
    "SPARE_SEQUENCES",
    "ContextRefused",
    "MemoryPlanner",
    "decoder_size",
    "encoder_size",
    "serves_embeddings",
    "trained_ctx",
]

# Sequences kept for prompts to come. Only plain memories can hold them at no cost.
_PARKED = 24
SPARE_SEQUENCES = 2
"""Beside the requests that are answered together: one for a preferred request, and one parked."""
_EMBEDDING_SEQUENCES = 32
_MAX_INPUT_TOKENS = 8192
# llama.cpp's own limit.
_MAX_SEQUENCES = 256
# Beyond this a dry run itself takes memory: it keeps books of every cell.
_MOST_TRIED_CELLS = 262_144
# Pictures are read as a whole by these, so a physical batch must hold one.
_WHOLE_PICTURES = ("gemma3", "gemma4", "deepseek4")


class ContextRefused(Exception):
    """llama.cpp would make no such context, whatever the memory; the message is its reason, without a full stop, or ""."""


class MemoryPlanner:
    """Measures one model file for one config. Not thread-safe; `close` frees the last dry run."""

    def __init__(self, config: EngineConfig, *, n_threads: int) -> None:
        self._config = config
        self._n_threads = n_threads
        self._devices = _usable(devices(), config)
        self._dry: _Dry | None = None
        self._projector = read_gguf(config.projector_path) if config.projector_path is not None else None
        self._weights = _tensors([*files_of(config.model_path)])
        self._adapters = _tensors([adapter.path for adapter in config.adapters])
        self._measured: dict[tuple[int, int], MemoryPlan] = {}
        self._drafts: dict[int, Mapping[str, int]] = {}

    def plan(self) -> MemoryPlan | None:
        """The best that fits, or the smallest; None if llama.cpp can't read the file. Raises ContextRefused."""
        return choose(self.measure, self.wish) if self.wish is not None else None

    @cached_property
    def wish(self) -> Wish | None:
        """None if llama.cpp can't read the file."""
        config = self._config
        gpu = any(device.is_gpu for device in self._devices) and config.n_gpu_layers != 0
        dry = self._open(-1 if gpu else 0)
        if dry is None:
            return None
        model, n_layers = dry.model, len(dry.found.layers) if gpu else 0
        # By this number it is asked for again.
        dry.n_gpu_layers = n_layers
        layers = config.n_gpu_layers if gpu else 0
        if layers is not None:
            layers = n_layers if layers < 0 else min(layers, n_layers)
        if serves_embeddings(config, model):
            # Beyond what they know, models with learned positions end the process.
            longest = encoder_input(config, model, _pooling(config, model))
            return Wish(min(config.n_ctx, longest), layers, n_layers, longest, min(config.least_ctx, longest))
        most = trained_ctx(config, model) * max(1, config.n_parallel)
        return Wish(config.n_ctx, layers, n_layers, most, min(config.least_ctx, most))

    def measure(self, n_gpu_layers: int, n_ctx: int) -> MemoryPlan:
        """Raises ContextRefused."""
        known = self._measured.get((n_gpu_layers, n_ctx))
        if known is None:
            known = self._measured[n_gpu_layers, n_ctx] = self._measure(n_gpu_layers, n_ctx)
        return known

    def close(self) -> None:
        if self._dry is not None:
            self._dry.model.close()
            self._dry = None

    def _measure(self, n_gpu_layers: int, n_ctx: int) -> MemoryPlan:
        if n_ctx > _MOST_TRIED_CELLS:
            near, far = (self.measure(n_gpu_layers, cells) for cells in (_MOST_TRIED_CELLS // 2, _MOST_TRIED_CELLS))
            return extrapolated(near, far, n_ctx)
        dry = self._open(n_gpu_layers)
        if dry is None:
            raise ContextRefused("")
        with listening(quietly=True) as heard:
            opened = self._try(dry.model, n_ctx)
        if not opened:
            raise ContextRefused(clean_reason(heard.errors[0]) if heard.errors else "")
        beside = self._draft_bytes(n_gpu_layers) if not serves_embeddings(self._config, dry.model) else {}
        needs = needs_of(self._parts(dry.model), dry.found, parse(heard.lines), self._devices, beside=beside)
        n_gpu = sum(device != HOST for device in dry.found.layers)
        return MemoryPlan(n_ctx, n_gpu, len(dry.found.layers), needs, self._config.memory_limit_bytes)

    def _draft_bytes(self, n_gpu_layers: int) -> Mapping[str, int]:
        if n_gpu_layers not in self._drafts:
            told = draft_bytes(self._config, n_gpu_layers, self._devices, n_threads=self._n_threads)
            self._drafts[n_gpu_layers] = told
        return self._drafts[n_gpu_layers]

    def _parts(self, model: LlamaModel) -> ModelParts:
        return ModelParts(self._weights, self._adapters, self._projector, has_output=model.is_causal)

    def _try(self, model: LlamaModel, n_ctx: int) -> bool:
        """Make the context and free it. On a model that was loaded as a dry run this allocates next to nothing."""
        config = self._config
        opened: LlamaEncoder | LlamaDecoder | None = None
        if serves_embeddings(config, model):
            size = encoder_size(config, n_ctx, n_threads=self._n_threads)
            opened = LlamaEncoder.open(model, size, n_ubatch=config.n_ubatch, pooling=_pooling(config, model))
        else:
            whole = _reads_whole_pictures(self._projector)
            opened = LlamaDecoder.open(
                model, decoder_size(config, model, n_ctx, n_threads=self._n_threads, whole_pictures=whole)
            )
        if opened is not None:
            opened.close()
        return opened is not None

    def _open(self, n_gpu_layers: int) -> _Dry | None:
        if self._dry is None or self._dry.n_gpu_layers != n_gpu_layers:
            self.close()
            options = ModelOptions.of(self._config, dry=True)
            with listening(quietly=True) as heard:
                model = LlamaModel.load(
                    self._config.model_path, n_gpu_layers=n_gpu_layers, on_progress=lambda _fraction: True, options=options
                )
            self._dry = _Dry(model, n_gpu_layers, parse(heard.lines)) if model is not None else None
        return self._dry


class _Dry:
    """A model that was only pretended to be loaded, and what was said of it."""

    def __init__(self, model: LlamaModel, n_gpu_layers: int, found: Allocations) -> None:
        self.model = model
        self.n_gpu_layers = n_gpu_layers
        self.found = found


# -------------------------------------------------------------------------------------------------------------- contexts
def serves_embeddings(config: EngineConfig, model: LlamaModel) -> bool:
    return config.embedding or not model.is_causal


def trained_ctx(config: EngineConfig, model: LlamaModel) -> int:
    """The longest text the model can follow, also by a stretched position encoding."""
    return config.rope.stretched(model.n_ctx_train or _MAX_INPUT_TOKENS)


def encoder_input(config: EngineConfig, model: LlamaModel, pooling: Pooling | None) -> int:
    """The longest input, in tokens: what was asked for, or what is usual and no less than must be."""
    usual = longest_input(model, pooling, config.n_ctx)
    return max(usual, longest_input(model, pooling, config.least_ctx)) if config.least_ctx else usual


def decoder_size(config: EngineConfig, model: LlamaModel, n_ctx: int, *, n_threads: int, whole_pictures: bool) -> ContextSize:
    plain = not model.is_recurrent and not model.n_window
    n_parallel = max(1, min(config.n_parallel, _MAX_SEQUENCES - SPARE_SEQUENCES))
    n_sequences = min(n_parallel + (_PARKED if plain else SPARE_SEQUENCES), _MAX_SEQUENCES)
    n_outputs = max(n_sequences, n_parallel + 1 + MAX_DRAFT_ROWS)
    n_batch = max(config.n_batch, n_parallel)
    # A model that looks at a whole picture at once ends the process if it does not fit.
    n_ubatch = n_batch if whole_pictures else min(config.n_ubatch, n_batch)
    return ContextSize(n_ctx, n_batch, n_ubatch, n_sequences, n_threads, n_outputs, ContextOptions.of(config))


def encoder_size(config: EngineConfig, limit: int, *, n_threads: int) -> EncoderSize:
    """`limit` is the longest input, in tokens."""
    return EncoderSize(limit, config.n_ubatch, _EMBEDDING_SEQUENCES, n_threads, ContextOptions.of(config))


def _pooling(config: EngineConfig, model: LlamaModel) -> Pooling | None:
    """As far as it matters for memory: a file that asks for none is refused after the plan."""
    pooling = config.pooling or model.pooling
    return pooling if pooling is not Pooling.NONE else Pooling.MEAN


def _reads_whole_pictures(projector: GgufFile | None) -> bool:
    texts = projector.texts if projector is not None else {}
    kind = texts.get("clip.projector_type") or texts.get("clip.vision.projector_type") or ""
    return kind.startswith(_WHOLE_PICTURES)


def _tensors(paths: Iterable[Path]) -> tuple[Tensor, ...]:
    files = [file for path in paths if (file := read_gguf(path)) is not None]
    return tuple(tensor for file in files for tensor in file.tensors)


def _usable(found: Iterable[Device], config: EngineConfig) -> tuple[Device, ...]:
    """The GPUs that may be used, then the host with what others leave of it."""
    every = tuple(found)
    returned = Counter(dict(config.memory_returned))
    gpus = [device for device in every if device.is_gpu and (not config.devices or device.name in config.devices)]
    hosts = [device for device in every if device.name == HOST]
    # What leaves a GPU without memory of its own leaves the host too.
    returned[HOST] += sum(returned[device.name] for device in every if device.shares_host_memory)
    returned[HOST] -= config.memory_reserved_bytes
    return tuple(_with_more(device, returned[device.name]) for device in (*gpus, *hosts))


def _with_more(device: Device, more_bytes: int) -> Device:
    """Less than there is in any case, unless the device does not tell."""
    free = max(0, device.free_bytes + more_bytes)
    return replace(device, free_bytes=min(free, device.total_bytes) if device.total_bytes else free)
