"""What can be said of a config before llama.cpp is asked: a sentence that names what to change."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.llama.parameters import CACHE_TYPES, ROPE_TYPES
from app.engine.protocol import EngineConfig

__all__ = ["problem_of"]

_FLOATS = ("f32", "f16", "bf16")


def problem_of(config: EngineConfig, devices: Sequence[str]) -> str | None:
    """`devices` are the names there are; None if nothing speaks against the config."""
    for name in config.devices:
        if name not in devices:
            return f"there is no device '{name}'. This computer has: {', '.join(devices)}."
    if config.tensor_split and not any(share > 0 for share in config.tensor_split):
        return "a tensor split needs at least one share above 0."
    return _cache_problem(config) or _rope_problem(config)


def _cache_problem(config: EngineConfig) -> str | None:
    for name in (config.cache_type_k, config.cache_type_v):
        if name not in CACHE_TYPES:
            return f"'{name}' is no type a cache can have. Choose one of {', '.join(CACHE_TYPES)}."
    if config.cache_type_v not in _FLOATS and config.flash_attention is False:
        return (
            f"a cache of values in {config.cache_type_v} needs flash attention, which is switched off. "
            "Switch it on, or choose f16 for the values."
        )
    return None


def _rope_problem(config: EngineConfig) -> str | None:
    rope = config.rope
    if rope.type not in ROPE_TYPES:
        return f"'{rope.type}' is no RoPE scaling. Choose one of {', '.join(filter(None, ROPE_TYPES))}."
    if rope.factor and not 1.0 <= rope.factor <= 1024.0:
        return f"a RoPE factor of {rope.factor:g} makes no sense. Choose one between 1 and 1024."
    if rope.factor and rope.type in ("", "none"):
        return "a RoPE factor needs a scaling type. Choose linear or yarn."
    if rope.freq_base < 0 or rope.original_ctx < 0:
        return "RoPE values can't be negative."
    return None
