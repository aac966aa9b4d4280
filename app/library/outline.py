"""Outlines: what decides how much memory a model takes, as a GGUF file of some ten kilobytes.

An outline has a model's hyperparameters and its whole list of tensors, joined from all its shards, but neither its vocabulary
nor its weights. With zeros in place of the weights llama.cpp makes the same plan for it as for the model, and sooner: the
vocabulary is what takes most of the time.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from app.domain.errors import NotAModel
from app.library.gguf_container import Container, Tensor, read_container
from app.library.gguf_types import TENSOR_TYPES
from app.library.sparse_file import extend_sparsely

__all__ = ["Outline", "fill_with_zeros", "outline_of", "read_outline", "resized", "tensor_entry", "write_outline"]

_TABLE_START: Final = "hearth.table_start"
_ALIGNMENT: Final = "general.alignment"
_VOCABULARY: Final = "tokenizer."
_VOCABULARY_SIZE: Final = ".vocab_size"
_EMBEDDING: Final = "token_embd.weight"
# llama.cpp makes room for as many, whatever the file holds.
_MAX_TOKENS: Final = 4_000_000
# Chat templates have up to 40 kB.
_MAX_ENTRY_BYTES: Final = 1 << 16
# A tensor's type and where it lies.
_PLACE: Final = struct.Struct("<IQ")
_U32, _STRING, _U64 = 4, 8, 10
# From 2.6 to 32 bits a weight.
_QUANTIZATIONS: Final = tuple(TENSOR_TYPES[number] for number in (10, 11, 12, 13, 14, 8, 1, 0))
_NUMBERS: Final = {kind: number for number, kind in TENSOR_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Outline:
    """Metadata entries as they stand in a file, by key, and tensors; `alignment` is that of the tensors' places.

    `table_start` is where the list of tensors began in the file that the outline was made from.
    """

    entries: dict[str, bytes]
    tensors: tuple[Tensor, ...]
    alignment: int
    table_start: int

    @property
    def table_bytes(self) -> int:
        """How long the list of tensors is in a file."""
        return sum(len(tensor_entry(tensor)) + _PLACE.size for tensor in self.tensors)

    @property
    def hyperparameters(self) -> tuple[bytes, ...]:
        """Entries that all quantizations of a model share."""
        own = (key for key in self.entries if not key.startswith(("general.", _VOCABULARY, "quantize.")))
        return tuple(self.entries[key] for key in own if key != _TABLE_START and not key.endswith(_VOCABULARY_SIZE))


def outline_of(parts: Sequence[Path]) -> Outline:
    """What matters of a model's shards, or of one file, whose weights need not be there. Raises NotAModel."""
    containers = [read_container(part) for part in parts]
    first = containers[0]
    tensors = tuple(tensor for container in containers for tensor in container.tensors)
    entries = _entries(parts[0], first)
    architecture = first.metadata.get("general.architecture")
    rows = next((tensor.shape[-1] for tensor in tensors if tensor.name == _EMBEDDING and tensor.shape), 0)
    if rows > _MAX_TOKENS:
        raise NotAModel(parts[0], f"its header is damaged: it claims {rows} tokens.")
    if rows:
        # Told in place of the vocabulary itself.
        size = f"{architecture}{_VOCABULARY_SIZE}"
        entries |= {"tokenizer.ggml.model": _text_entry("tokenizer.ggml.model", "none"), size: _u32_entry(size, rows)}
    entries[_TABLE_START] = _text(_TABLE_START) + struct.pack("<IQ", _U64, first.table_start)
    return Outline(entries, tensors, _alignment(first), first.table_start)


def write_outline(outline: Outline, target: Path) -> None:
    """Replace `target` in one step. Raises OSError."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.stem, suffix=".new", delete=False) as new:
        new.write(_file_bytes(outline))
    Path(new.name).replace(target)


def read_outline(path: Path) -> Outline:
    """Raises NotAModel."""
    container = read_container(path)
    start = container.metadata.get(_TABLE_START, 0)
    return Outline(_entries(path, container), container.tensors, _alignment(container), start if isinstance(start, int) else 0)


def fill_with_zeros(outline: Path, target: Path) -> None:
    """A copy of `outline` as large as the model's file, without taking that much of the disk.

    Raises OSError where the disk can't hold sparse files, and NotAModel.
    """
    size = read_container(outline).end
    shutil.copyfile(outline, target)
    extend_sparsely(target, size)


def resized(like: Outline, size_bytes: int) -> Outline:
    """What a quantization of the same model looks like whose file has this size: its matrices are stored in the two ways whose
    sizes are next to that, as many in each as it takes."""
    matrices = [tensor for tensor in like.tensors if len(tensor.shape) > 1]
    weights = sum(tensor.weights for tensor in matrices)
    left = size_bytes - like.table_start - like.table_bytes
    left -= sum(tensor.size_bytes for tensor in like.tensors if len(tensor.shape) < 2)
    kinds = [kind for kind in _QUANTIZATIONS if all(tensor.shape[0] % kind.block == 0 for tensor in matrices)]
    smaller = [kind for kind in kinds if weights * kind.size_bytes <= left * kind.block] or kinds[:1]
    larger = kinds[min(kinds.index(smaller[-1]) + 1, len(kinds) - 1)]
    spare = left - sum(tensor.weights // smaller[-1].block * smaller[-1].size_bytes for tensor in matrices)
    tensors = []
    for tensor in like.tensors:
        stored = tensor
        if len(tensor.shape) > 1:
            stored, large = replace(tensor, type=smaller[-1]), replace(tensor, type=larger)
            more = large.size_bytes - stored.size_bytes
            if 0 < more <= spare:
                stored, spare = large, spare - more
        tensors.append(stored)
    return replace(like, tensors=tuple(tensors))


def tensor_entry(tensor: Tensor) -> bytes:
    """A tensor's line in the list, without its type and place."""
    return _text(tensor.name) + struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)


def _entries(path: Path, container: Container) -> dict[str, bytes]:
    """The entries worth keeping: no vocabulary, nothing of shards, nothing endless."""
    kept: dict[str, bytes] = {}
    with path.open("rb") as stream:
        for key, (start, end) in container.entries.items():
            is_list = isinstance(container.metadata.get(key, ()), tuple)
            if key.startswith("split.") or (key.startswith(_VOCABULARY) and is_list) or end - start > _MAX_ENTRY_BYTES:
                continue
            stream.seek(start)
            kept[key] = stream.read(end - start)
    return kept


def _alignment(container: Container) -> int:
    alignment = container.metadata.get(_ALIGNMENT, 32)
    return alignment if isinstance(alignment, int) else 32


def _file_bytes(outline: Outline) -> bytes:
    table, offset = [], 0
    for tensor in outline.tensors:
        table.append(tensor_entry(tensor) + _PLACE.pack(_NUMBERS[tensor.type], offset))
        offset += -(-tensor.size_bytes // outline.alignment) * outline.alignment
    start = struct.pack("<4sIQQ", b"GGUF", 3, len(outline.tensors), len(outline.entries))
    content = b"".join((start, *outline.entries.values(), *table))
    return content + bytes(-len(content) % outline.alignment)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(data)) + data


def _text_entry(key: str, text: str) -> bytes:
    return _text(key) + struct.pack("<I", _STRING) + _text(text)


def _u32_entry(key: str, number: int) -> bytes:
    return _text(key) + struct.pack("<II", _U32, number)
