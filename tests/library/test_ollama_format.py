"""Files that Ollama's converters made, told from those that llama.cpp loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter

from app.library.gguf import read_header


def described(path: Path, architecture: str, keys: dict[str, Any], tensors: tuple[str, ...]) -> str:
    writer = GGUFWriter(path, architecture)
    for key, value in keys.items():
        match value:
            case str():
                writer.add_string(key, value)
            case float():
                writer.add_float32(key, value)
            case list() | bytes():
                writer.add_array(key, value)
            case _:
                writer.add_uint32(key, value)
    for name in ("token_embd.weight", *tensors):
        rows = 24 if name.startswith("per_layer") else 32
        writer.add_tensor(name, np.zeros((rows, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return read_header(path).ollama_format


EPSILON = {"gemma3.attention.layer_norm_rms_epsilon": 1e-6}
SECTIONS = {"qwen3vl.rope.dimension_sections": [24, 20, 20, 0]}


@pytest.mark.parametrize(
    ("architecture", "keys", "tensors"),
    [
        ("gptoss", {}, ()),
        ("qwen25vl", {}, ()),
        ("mllama", {}, ()),
        ("gemma3", {}, ()),
        ("gemma3", {**EPSILON, "gemma3.rope.global.freq_base": 1e6}, ()),
        ("gemma3", EPSILON, ("dense.0.weight",)),
        ("gemma3n", {}, ("per_layer_token_embd.weight",)),
        ("gemma4", {"tokenizer.ggml.model": "llama"}, ()),
        ("lfm2", {}, ("output_norm.weight",)),
        ("mistral3", {"mistral3.rope.scaling_beta": 0.1}, ()),
        ("qwen35", {}, ("blk.0.ssm_dt",)),
        ("qwen35moe", {}, ("mtp.fc.weight",)),
        ("qwen3next", {}, ("blk.0.ssm_dt",)),
        ("qwen3vl", {}, ()),
        ("nemotron_h_moe", {}, ("blk.1.ffn_latent_in.weight",)),
        ("laguna", {}, ("blk.0.attn_g.weight",)),
        ("bert", {"tokenizer.ggml.precompiled_charsmap": ["A"] * 130_000}, ()),
    ],
)
def test_signs_of_ollamas_converters(tmp_path: Path, architecture: str, keys: dict[str, Any], tensors: tuple[str, ...]) -> None:
    assert architecture in described(tmp_path / "m.gguf", architecture, keys, tensors)


@pytest.mark.parametrize(
    ("architecture", "keys", "tensors"),
    [
        ("llama", {}, ()),
        ("gpt-oss", {}, ()),
        ("gemma3", {**EPSILON, "gemma3.rope.freq_base": 1e6}, ()),
        ("gemma4", {"tokenizer.ggml.model": "gemma4"}, ()),
        ("lfm2", {}, ("token_embd_norm.weight",)),
        ("mistral3", {"mistral3.rope.scaling.yarn_beta_fast": 0.1}, ()),
        ("qwen35", {}, ("blk.0.ssm_dt.bias", "blk.4.nextn.eh_proj.weight")),
        ("qwen3next", {}, ("blk.0.ssm_dt.bias",)),
        ("qwen3vl", SECTIONS, ()),
        ("nemotron_h_moe", {}, ("blk.1.ffn_latent_down.weight",)),
        ("laguna", {}, ("blk.0.attn_gate.weight",)),
        ("bert", {"tokenizer.ggml.precompiled_charsmap": bytes(240_000)}, ()),
    ],
)
def test_what_llama_cpp_converts_has_none(
    tmp_path: Path, architecture: str, keys: dict[str, Any], tensors: tuple[str, ...]
) -> None:
    assert described(tmp_path / "m.gguf", architecture, keys, tensors) == ""
