"""Small real GGUF files, written by the reference writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter

__all__ = ["write_adapter", "write_model", "write_projector"]

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def write_model(
    path: Path,
    *,
    architecture: str = "llama",
    name: str = "Tiny",
    n_embd: int = 64,
    file_type: int | None = 7,
    template: str | None = TEMPLATE,
    pooling: int | None = None,
    split: tuple[int, int, int] | None = None,
    tensors: dict[str, Any] | None = None,
    seed: int = 0,
    labels: tuple[str, ...] = (),
    numbers: dict[str, int] | None = None,
    tokenizer: str = "",
) -> Path:
    """`split` is (number from 0, count, tensors in all); `numbers` are more keys of the architecture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_context_length(4096)
    writer.add_embedding_length(n_embd)
    if file_type is not None:
        writer.add_file_type(file_type)
    if template is not None:
        writer.add_chat_template(template)
    if pooling is not None:
        writer.add_uint32(f"{architecture}.pooling_type", pooling)
    for key, number in (numbers or {}).items():
        writer.add_uint32(f"{architecture}.{key}", number)
    if tokenizer:
        writer.add_tokenizer_pre(tokenizer)
    if labels:
        writer.add_classifier_output_labels(labels)
    if split is not None:
        writer.add_uint16("split.no", split[0])
        writer.add_uint16("split.count", split[1])
        writer.add_int32("split.tensors.count", split[2])
    weights = np.random.default_rng(seed).normal(size=(32, n_embd)).astype(np.float32)
    for key, tensor in (tensors if tensors is not None else {"token_embd.weight": weights}).items():
        writer.add_tensor(key, tensor)
    return _written(writer, path)


def write_projector(
    path: Path, *, width: int = 64, kind: str = "mlp", named_width: int | None = None, audio: bool = False
) -> Path:
    """`named_width` is what the header claims, where it differs from what the last layer makes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, "clip")
    writer.add_bool("clip.has_audio_encoder" if audio else "clip.has_vision_encoder", True)
    if kind:
        writer.add_string("clip.projector_type", kind)
    writer.add_uint32("clip.vision.projection_dim", named_width if named_width is not None else width)
    writer.add_file_type(1)
    writer.add_tensor("mm.0.bias", np.zeros(width, np.float32))
    writer.add_tensor("mm.2.bias", np.zeros(width, np.float32))
    return _written(writer, path)


def write_adapter(path: Path, *, architecture: str = "llama") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_tensor("token_embd.weight.lora_a", np.zeros((4, 64), np.float32))
    return _written(writer, path)


def _written(writer: GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
