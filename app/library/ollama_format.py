"""Files that Ollama's own converters made, which llama.cpp can't load or would misread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.library.gguf_container import Container, Tensor

__all__ = ["ollama_format"]

# Taken from what Ollama mends while it loads: llama/compat/llama-ollama-compat.cpp, September 2026.
_ARCHITECTURES: Final = frozenset(
    {"deepseekocr", "glm4moelite", "glmocr", "gptoss", "mllama", "nemotron_h_omni", "olmo3", "qwen25vl"}
)
# Of an architecture: keys of the metadata, beginnings and ends of tensors' names that only its files from Ollama have.
_KEYS: Final = {
    "gemma3": ("gemma3.mm.tokens_per_image", "gemma3.rope.global.freq_base", "gemma3.rope.local.freq_base"),
    "laguna": ("laguna.rope.swa.dimension_count", "laguna.rope.swa.freq_base"),
    "mistral3": (
        "mistral3.rope.scaling.beta_fast",
        "mistral3.rope.scaling.mscale_all_dim",
        "mistral3.rope.scaling_beta",
    ),
    "qwen35": ("qwen35.vision.block_count", "qwen35.ssm.v_head_reordered", "qwen35.rope.mrope_interleaved"),
    "qwen35moe": ("qwen35moe.vision.block_count", "qwen35moe.ssm.v_head_reordered", "qwen35moe.rope.mrope_interleaved"),
}
_STARTS: Final = {
    "gemma3": ("dense.0.",),
    "gemma4": ("model.vision_tower.",),
    "laguna": ("blk.0.attn_g.",),
    "nemotron_h_moe": ("blk.0.ffn_latent_in", "blk.1.ffn_latent_in", "mtp."),
    "qwen35": ("mtp.",),
    "qwen35moe": ("mtp.",),
}
_ENDS: Final = {"qwen35": (".ssm_dt",), "qwen35moe": (".ssm_dt",), "qwen3next": (".ssm_dt",)}
# A quarter of a megabyte as bytes; as texts of one character each, which llama.cpp takes badly, ten times that.
_CHARACTER_MAP: Final = "tokenizer.ggml.precompiled_charsmap"
_LARGEST_CHARACTER_MAP: Final = 1 << 20
# Keys that all but Ollama's files have.
_LACKED: Final = {
    "gemma3": "gemma3.attention.layer_norm_rms_epsilon",
    "qwen3vl": "qwen3vl.rope.dimension_sections",
    "qwen3vlmoe": "qwen3vlmoe.rope.dimension_sections",
}


def ollama_format(architecture: str, container: Container) -> str:
    """What is peculiar about a model's file, to follow "Its file "; "" if nothing is.

    Only files that Ollama converted are to be judged by it: in others the same sign may be harmless.
    """
    if architecture in _ARCHITECTURES:
        return f"is in a format of Ollama's own ({architecture})"
    keys, lacked = container.entries, _LACKED.get(architecture)
    if (
        any(key in keys for key in _KEYS.get(architecture, ()))
        or (lacked is not None and lacked not in keys)
        or _named_otherwise(architecture, {tensor.name: tensor for tensor in container.tensors})
        or (architecture == "gemma4" and container.metadata.get("tokenizer.ggml.model") == "llama")
        or (architecture == "bert" and _size_of(container, _CHARACTER_MAP) > _LARGEST_CHARACTER_MAP)
    ):
        return f"is laid out in Ollama's own way ({architecture})"
    return ""


def _size_of(container: Container, key: str) -> int:
    start, end = container.entries.get(key, (0, 0))
    return end - start


def _named_otherwise(architecture: str, tensors: Mapping[str, Tensor]) -> bool:
    starts, ends = _STARTS.get(architecture, ()), _ENDS.get(architecture, ())
    if any(name.startswith(starts) or name.endswith(ends) for name in tensors):
        return True
    match architecture:
        case "lfm2":
            return "output_norm.weight" in tensors and "token_embd_norm.weight" not in tensors
        case "gemma3n":
            words, more = tensors.get("token_embd.weight"), tensors.get("per_layer_token_embd.weight")
            return words is not None and more is not None and words.shape[-1:] != more.shape[-1:]
        case _:
            return False
