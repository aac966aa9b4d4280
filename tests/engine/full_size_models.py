"""A model of real dimensions (a small Llama of 30 layers) with Ember's tokenizer: some 200 MB, made in about a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.engine.tiny_models import copy_tokenizer

__all__ = ["write_llama_135m"]

_WIDTH, _LAYERS, _HEADS, _HEADS_KV, _FF = 576, 30, 9, 3, 1536
_KV_WIDTH = _WIDTH // _HEADS * _HEADS_KV
_SHAPES = {
    "attn_q": (_WIDTH, _WIDTH),
    "attn_k": (_KV_WIDTH, _WIDTH),
    "attn_v": (_KV_WIDTH, _WIDTH),
    "attn_output": (_WIDTH, _WIDTH),
    "ffn_gate": (_FF, _WIDTH),
    "ffn_up": (_FF, _WIDTH),
    "ffn_down": (_WIDTH, _FF),
}


def write_llama_135m(path: Path, tokenizer_of: Path, *, quantization: gguf.GGMLQuantizationType) -> Path:
    """Input and output share one matrix. All layers are the same: what counts here is their size."""
    file = gguf.GGUFWriter(path, "llama")
    file.add_name("Llama 135M")
    file.add_context_length(8192)
    file.add_embedding_length(_WIDTH)
    file.add_block_count(_LAYERS)
    file.add_feed_forward_length(_FF)
    file.add_head_count(_HEADS)
    file.add_head_count_kv(_HEADS_KV)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_rope_freq_base(100000.0)
    n_vocab = copy_tokenizer(tokenizer_of, file)
    random = np.random.default_rng(5)

    def matrix(*shape: int) -> np.ndarray[Any, Any]:
        return gguf.quants.quantize((random.standard_normal(shape) * 0.05).astype(np.float32), quantization)

    def add(name: str, values: np.ndarray[Any, Any]) -> None:
        file.add_tensor(f"{name}.weight", values, raw_dtype=quantization)

    add("token_embd", matrix(n_vocab, _WIDTH))
    ones = np.ones(_WIDTH, np.float32)
    file.add_tensor("output_norm.weight", ones)
    matrices = {name: matrix(*shape) for name, shape in _SHAPES.items()}
    for layer in range(_LAYERS):
        for name, values in matrices.items():
            add(f"blk.{layer}.{name}", values)
        for name in ("attn_norm", "ffn_norm"):
            file.add_tensor(f"blk.{layer}.{name}.weight", ones)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path
