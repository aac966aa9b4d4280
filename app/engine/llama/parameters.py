"""What a person may change of how llama.cpp loads and computes, put into its structs."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

from app.domain.memory import HOST
from app.engine.llama.backend import device_handles
from app.engine.protocol import EngineConfig, RopeScaling

__all__ = ["CACHE_TYPES", "ROPE_TYPES", "ContextOptions", "ModelOptions", "model_params", "set_context_options"]

# ggml's numbers of the types a cache can have.
CACHE_TYPES = {
    "f32": 0,
    "f16": 1,
    "bf16": 30,
    "q8_0": 8,
    "q5_1": 7,
    "q5_0": 6,
    "q4_1": 3,
    "q4_0": 2,
    "iq4_nl": 20,
}
ROPE_TYPES = {"": -1, "none": 0, "linear": 1, "yarn": 2, "longrope": 3}
_FLASH_ATTENTION = {None: -1, False: 0, True: 1}


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """`dry` reads the header alone and only pretends to allocate: such a model can measure, not compute."""

    devices: tuple[str, ...] = ()
    tensor_split: tuple[float, ...] = ()
    use_mmap: bool = True
    use_mlock: bool = False
    dry: bool = False

    @classmethod
    def of(cls, config: EngineConfig, *, dry: bool = False) -> ModelOptions:
        return cls(config.devices, config.tensor_split, config.use_mmap, config.use_mlock, dry)


@dataclass(frozen=True, slots=True)
class ContextOptions:
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    flash_attention: bool | None = None
    rope: RopeScaling = field(default_factory=RopeScaling)

    @classmethod
    def of(cls, config: EngineConfig) -> ContextOptions:
        return cls(config.cache_type_k, config.cache_type_v, config.flash_attention, config.rope)


def model_params(native: Any, options: ModelOptions, *, n_gpu_layers: int) -> tuple[Any, list[Any]]:
    """The struct, and what it points to, which must live as long as the struct is used."""
    params = native.llama_model_default_params()
    params.n_gpu_layers = n_gpu_layers
    params.load_mode = _load_mode(native, options)
    params.no_alloc = options.dry
    references: list[Any] = []
    if options.devices:
        known = device_handles()
        chosen = [known[name] for name in options.devices if name != HOST]
        array = (ctypes.c_void_p * (len(chosen) + 1))(*chosen, None)
        params.devices = ctypes.cast(array, ctypes.c_void_p)
        references.append(array)
    if options.tensor_split:
        # llama.cpp reads one for each device there may ever be.
        shares = (ctypes.c_float * int(native.llama_max_devices()))(*options.tensor_split)
        params.tensor_split = shares
        references.append(shares)
    return params, references


def _load_mode(native: Any, options: ModelOptions) -> int:
    if options.dry:
        return int(native.LLAMA_LOAD_MODE_NONE)
    if options.use_mlock:
        return int(native.LLAMA_LOAD_MODE_MMAP_MLOCK if options.use_mmap else native.LLAMA_LOAD_MODE_MLOCK)
    return int(native.LLAMA_LOAD_MODE_AUTO if options.use_mmap else native.LLAMA_LOAD_MODE_NONE)


def set_context_options(native: Any, params: Any, options: ContextOptions) -> None:
    params.type_k, params.type_v = CACHE_TYPES[options.cache_type_k], CACHE_TYPES[options.cache_type_v]
    params.flash_attn_type = _FLASH_ATTENTION[options.flash_attention]
    rope = options.rope
    params.rope_scaling_type = ROPE_TYPES[rope.type]
    if rope.factor:
        params.rope_freq_scale = 1.0 / rope.factor
    if rope.freq_base:
        params.rope_freq_base = rope.freq_base
    if rope.original_ctx:
        params.yarn_orig_ctx = rope.original_ctx
