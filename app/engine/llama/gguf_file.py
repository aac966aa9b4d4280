"""The tensors a GGUF file lists, without their data. Through llama.cpp's own reader: it has to like the file in any case."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engine.llama.backend import ggml_base

__all__ = ["GgufFile", "Tensor", "files_of", "read_gguf"]

_STRING, _UINT32 = 8, 4
_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
_MOST_SHARDS = 999


@dataclass(frozen=True, slots=True)
class Tensor:
    """`type` is a number of ggml's."""

    name: str
    type: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufFile:
    """What a header says: its tensors, texts and 32-bit numbers."""

    tensors: tuple[Tensor, ...]
    texts: dict[str, str]
    numbers: dict[str, int]

    @property
    def size_bytes(self) -> int:
        return sum(tensor.size_bytes for tensor in self.tensors)


class _InitParams(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


def read_gguf(path: Path) -> GgufFile | None:
    """None if llama.cpp can't read the file. Costs some 50 ms on a large vocabulary."""
    library = ggml_base()
    if library is None:
        return None
    _declare(library)
    with _opened(library, path) as handle:
        return _contents(library, handle) if handle else None


def files_of(path: Path) -> tuple[Path, ...]:
    """The file itself, or all shards of the model it is the first of."""
    shard = _SHARD.fullmatch(path.name)
    count = int(shard[3]) if shard else 1
    if shard is None or not 1 < count <= _MOST_SHARDS:
        return (path,)
    return tuple(path.with_name(f"{shard[1]}-{i:05d}-of-{count:05d}.gguf") for i in range(1, count + 1))


@contextmanager
def _opened(library: ctypes.CDLL, path: Path) -> Iterator[int | None]:
    handle = library.gguf_init_from_file(str(path).encode("utf-8", "surrogateescape"), _InitParams(True, None))
    try:
        yield handle
    finally:
        if handle:
            library.gguf_free(handle)


def _contents(library: ctypes.CDLL, handle: int) -> GgufFile:
    tensors = tuple(
        Tensor(
            library.gguf_get_tensor_name(handle, i).decode("utf-8", "replace"),
            library.gguf_get_tensor_type(handle, i),
            library.gguf_get_tensor_size(handle, i),
        )
        for i in range(library.gguf_get_n_tensors(handle))
    )
    texts, numbers = {}, {}
    for i in range(library.gguf_get_n_kv(handle)):
        name = library.gguf_get_key(handle, i).decode("utf-8", "replace")
        kind = library.gguf_get_kv_type(handle, i)
        if kind == _STRING:
            texts[name] = library.gguf_get_val_str(handle, i).decode("utf-8", "replace")
        elif kind == _UINT32:
            numbers[name] = library.gguf_get_val_u32(handle, i)
    return GgufFile(tensors, texts, numbers)


def _declare(library: ctypes.CDLL) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.gguf_init_from_file.restype, library.gguf_init_from_file.argtypes = pointer, [ctypes.c_char_p, _InitParams]
    library.gguf_free.restype, library.gguf_free.argtypes = None, [pointer]
    for name, result in (("gguf_get_n_tensors", number), ("gguf_get_n_kv", number)):
        function = getattr(library, name)
        function.restype, function.argtypes = result, [pointer]
    indexed: tuple[tuple[str, Any], ...] = (
        ("gguf_get_tensor_name", ctypes.c_char_p),
        ("gguf_get_tensor_type", ctypes.c_int),
        ("gguf_get_tensor_size", ctypes.c_size_t),
        ("gguf_get_key", ctypes.c_char_p),
        ("gguf_get_kv_type", ctypes.c_int),
        ("gguf_get_val_str", ctypes.c_char_p),
        ("gguf_get_val_u32", ctypes.c_uint32),
    )
    for name, kind in indexed:
        function = getattr(library, name)
        function.restype, function.argtypes = kind, [pointer, number]
