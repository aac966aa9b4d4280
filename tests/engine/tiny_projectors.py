"""Tiny projectors with random weights, one per way of reading pictures or sound, for the models of `tiny_models`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

__all__ = [
    "write_gemma3_projector",
    "write_internvl_projector",
    "write_omni_projector",
    "write_qwen2a_projector",
    "write_qwen2vl_projector",
]

_TEXT_WIDTH = 64
_WIDTH, _HEADS, _FF, _LAYERS = 32, 4, 64, 2
_PATCH = 4
_MEL_BINS = 16
# Half of the frames in 30 seconds, which is what such an encoder reads at once.
_SOUND_POSITIONS = 1500


def write_qwen2vl_projector(path: Path) -> Path:
    """Pictures of any shape: one token for 8 x 8 pixels, placed in a grid (M-RoPE)."""
    projector = _Writer(path)
    _add_qwen2vl(projector, "clip.projector_type")
    return projector.save()


def write_gemma3_projector(path: Path, *, side: int = 64) -> Path:
    """Every picture is a square that the model looks at as a whole: one token for 8 x 8 of its pixels."""
    projector = _Writer(path)
    projector.vision("gemma3", "clip.projector_type", side=side)
    projector.file.add_uint32("clip.vision.projector.scale_factor", 2)
    projector.linear("v.patch_embd", _WIDTH, 3, _PATCH, _PATCH)
    projector.random("v.position_embd.weight", (side // _PATCH) ** 2, _WIDTH)
    projector.layers("v")
    projector.norm("v.post_ln")
    projector.random("mm.input_projection.weight", _WIDTH, _TEXT_WIDTH)
    projector.ones("mm.soft_emb_norm.weight", _WIDTH)
    return projector.save()


def write_internvl_projector(path: Path) -> Path:
    """Pictures in square tiles of four tokens each, and one small copy of the whole; encodes several tiles at once."""
    side = 16
    projector = _Writer(path)
    projector.vision("internvl", "clip.projector_type", side=side)
    projector.file.add_uint32("clip.vision.projector.scale_factor", 2)
    projector.linear("v.patch_embd", _WIDTH, 3, _PATCH, _PATCH)
    projector.random("v.class_embd", _WIDTH)
    projector.random("v.position_embd.weight", (side // _PATCH) ** 2 + 1, _WIDTH)
    projector.layers("v")
    projector.norm("mm.model.mlp.0", 4 * _WIDTH)
    projector.linear("mm.model.mlp.1", _TEXT_WIDTH, 4 * _WIDTH)
    projector.linear("mm.model.mlp.3", _TEXT_WIDTH, _TEXT_WIDTH)
    return projector.save()


def write_qwen2a_projector(path: Path) -> Path:
    """Sound in stretches of 30 seconds, 750 tokens each."""
    projector = _Writer(path)
    _add_qwen2a(projector, "clip.projector_type")
    return projector.save()


def write_omni_projector(path: Path) -> Path:
    """Pictures as `write_qwen2vl_projector` and sound as `write_qwen2a_projector`."""
    projector = _Writer(path)
    _add_qwen2vl(projector, "clip.vision.projector_type")
    _add_qwen2a(projector, "clip.audio.projector_type")
    return projector.save()


def _add_qwen2vl(projector: _Writer, type_key: str) -> None:
    projector.vision("qwen2vl_merger", type_key, side=64)
    projector.random("v.patch_embd.weight", _WIDTH, 3, _PATCH, _PATCH)
    projector.random("v.patch_embd.weight.1", _WIDTH, 3, _PATCH, _PATCH)
    projector.layers("v")
    projector.norm("v.post_ln")
    projector.linear("mm.0", 4 * _WIDTH, 4 * _WIDTH)
    projector.linear("mm.2", _TEXT_WIDTH, 4 * _WIDTH)


def _add_qwen2a(projector: _Writer, type_key: str) -> None:
    projector.audio("qwen2a", type_key)
    # These convolutions are computed in half precision.
    projector.random("a.conv1d.1.weight", _WIDTH, _MEL_BINS, 3, dtype=np.float16)
    projector.random("a.conv1d.1.bias", _WIDTH, 1)
    projector.random("a.conv1d.2.weight", _WIDTH, _WIDTH, 3, dtype=np.float16)
    projector.random("a.conv1d.2.bias", _WIDTH, 1)
    projector.random("a.position_embd.weight", _SOUND_POSITIONS, _WIDTH)
    projector.layers("a", key_bias=False)
    projector.norm("a.post_ln")
    projector.linear("mm.a.fc", _TEXT_WIDTH, _WIDTH)


class _Writer:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._random = np.random.default_rng(11)
        self.file = gguf.GGUFWriter(path, "clip")
        self.file.add_type("mmproj")
        self.file.add_file_type(0)
        self.file.add_bool("clip.use_gelu", True)

    def vision(self, kind: str, type_key: str, *, side: int) -> None:
        self._encoder("vision", kind, type_key)
        self.file.add_uint32("clip.vision.image_size", side)
        self.file.add_uint32("clip.vision.patch_size", _PATCH)
        self.file.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
        self.file.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])

    def audio(self, kind: str, type_key: str) -> None:
        self._encoder("audio", kind, type_key)
        self.file.add_uint32("clip.audio.num_mel_bins", _MEL_BINS)

    def _encoder(self, sense: str, kind: str, type_key: str) -> None:
        self.file.add_bool(f"clip.has_{sense}_encoder", True)
        self.file.add_string(type_key, kind)
        self.file.add_uint32(f"clip.{sense}.embedding_length", _WIDTH)
        self.file.add_uint32(f"clip.{sense}.feed_forward_length", _FF)
        self.file.add_uint32(f"clip.{sense}.block_count", _LAYERS)
        self.file.add_uint32(f"clip.{sense}.projection_dim", _TEXT_WIDTH)
        self.file.add_uint32(f"clip.{sense}.attention.head_count", _HEADS)
        self.file.add_float32(f"clip.{sense}.attention.layer_norm_epsilon", 1e-6)

    def layers(self, prefix: str, *, key_bias: bool = True) -> None:
        for i in range(_LAYERS):
            block = f"{prefix}.blk.{i}"
            self.norm(f"{block}.ln1")
            self.norm(f"{block}.ln2")
            for name in ("attn_q", "attn_v", "attn_out"):
                self.linear(f"{block}.{name}", _WIDTH, _WIDTH)
            self.random(f"{block}.attn_k.weight", _WIDTH, _WIDTH)
            if key_bias:
                self.random(f"{block}.attn_k.bias", _WIDTH)
            self.linear(f"{block}.ffn_up", _FF, _WIDTH)
            self.linear(f"{block}.ffn_down", _WIDTH, _FF)

    def linear(self, name: str, *shape: int) -> None:
        self.random(f"{name}.weight", *shape)
        self.random(f"{name}.bias", shape[0])

    def norm(self, name: str, size: int = _WIDTH) -> None:
        self.ones(f"{name}.weight", size)
        self.random(f"{name}.bias", size)

    def ones(self, name: str, size: int) -> None:
        self._add(name, np.ones(size, np.float32))

    def random(self, name: str, *shape: int, dtype: Any = np.float32) -> None:
        self._add(name, (self._random.standard_normal(shape) * 0.2).astype(dtype))

    def save(self) -> Path:
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()
        return self._path

    def _add(self, name: str, values: np.ndarray[Any, Any]) -> None:
        self.file.add_tensor(name, values)
