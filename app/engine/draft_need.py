"""What a draft model takes beside the model that it guesses for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from app.domain.memory import Device
from app.engine.llama.allocations import listening, parse
from app.engine.llama.context import ContextSize, LlamaDecoder
from app.engine.llama.gguf_file import files_of, read_gguf
from app.engine.llama.model import LlamaModel
from app.engine.llama.parameters import ModelOptions
from app.engine.memory_needs import ModelParts, needs_of
from app.engine.protocol import EngineConfig

__all__ = ["draft_bytes", "draft_options", "draft_size"]

# Enough for a guess at what follows; a longer text is read once, and not guessed for.
_CELLS = 8192


def draft_options(config: EngineConfig, *, dry: bool = False) -> ModelOptions:
    """On the same devices, but without shares that were made for a larger model."""
    return ModelOptions(devices=config.devices, dry=dry)


def draft_size(config: EngineConfig, draft: LlamaModel, *, n_threads: int) -> ContextSize:
    n_parallel = config.n_parallel + 1
    n_batch = max(config.n_batch, n_parallel)
    n_ctx = min(draft.n_ctx_train or _CELLS, _CELLS) * min(n_parallel, 2)
    return ContextSize(n_ctx, n_batch, min(config.n_ubatch, n_batch), n_parallel, n_threads, n_parallel)


def draft_bytes(config: EngineConfig, n_gpu_layers: int, devices: Sequence[Device], *, n_threads: int) -> Mapping[str, int]:
    """By device; empty where there is none, or nothing can be told of it: the load says why."""
    if config.draft_path is None or config.n_draft <= 0:
        return MappingProxyType({})
    with listening(quietly=True) as heard:
        model = LlamaModel.load(
            config.draft_path,
            n_gpu_layers=n_gpu_layers,
            on_progress=lambda _fraction: True,
            options=draft_options(config, dry=True),
        )
    if model is None:
        return MappingProxyType({})
    try:
        found = parse(heard.lines)
        with listening(quietly=True) as heard:
            decoder = LlamaDecoder.open(model, draft_size(config, model, n_threads=n_threads))
        if decoder is None:
            return MappingProxyType({})
        decoder.close()
        files = [file for path in files_of(config.draft_path) if (file := read_gguf(path)) is not None]
        parts = ModelParts(tuple(tensor for file in files for tensor in file.tensors))
        return {need.device: need.total_bytes for need in needs_of(parts, found, parse(heard.lines), devices)}
    finally:
        model.close()
