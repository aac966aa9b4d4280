"""Random weights in the block formats of GGUF files, made without quantising anything.

Every block that these functions write is valid, and each weight is random with mean 0 and the standard deviation asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import gguf
import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK_WRITERS", "BlockWriter", "random_tensor"]

Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class BlockWriter:
    """`write(random, n_blocks, std)` returns uint8 of [n_blocks, n_bytes]; a block holds `n_weights` weights."""

    n_weights: int
    n_bytes: int
    write: Callable[[np.random.Generator, int, float], Bytes]


def random_tensor(shape: tuple[int, int], kind: gguf.GGMLQuantizationType, std: float, random: np.random.Generator) -> Bytes:
    """A matrix of `shape` (rows, columns) as uint8 of [rows, bytes of a row]. Columns must fill whole blocks."""
    rows, columns = shape
    writer = BLOCK_WRITERS[kind]
    if columns % writer.n_weights:
        raise ValueError(f"{kind.name} needs rows of a multiple of {writer.n_weights} weights, not {columns}.")
    blocks = writer.write(random, rows * columns // writer.n_weights, std)
    return blocks.reshape(rows, columns // writer.n_weights * writer.n_bytes)


def _q8_0(random: np.random.Generator, n: int, std: float) -> Bytes:
    """A float16 scale and 32 signed bytes."""
    blocks = random.integers(0, 256, (n, 34), np.uint8)
    blocks[:, :2] = _halves(np.full(n, std / _uniform_std(256)))
    return blocks


def _q4_0(random: np.random.Generator, n: int, std: float) -> Bytes:
    """A float16 scale and 32 half bytes, from -8 to 7: scales of both signs make their mean 0."""
    blocks = random.integers(0, 256, (n, 18), np.uint8)
    blocks[:, :2] = _halves(_signs(random, n) * std / _uniform_std(16))
    return blocks


def _q6_k(random: np.random.Generator, n: int, std: float) -> Bytes:
    """Low and high bits of 256 weights from -32 to 31, 16 scales of a signed byte, and a float16 scale of all."""
    blocks = random.integers(0, 256, (n, 210), np.uint8)
    scales = _signs(random, n * 16).astype(np.int8) * 64
    blocks[:, 192:208] = scales.view(np.uint8).reshape(n, 16)
    blocks[:, 208:] = _halves(np.full(n, std / _uniform_std(64) / 64))
    return blocks


def _f32(random: np.random.Generator, n: int, std: float) -> Bytes:
    return (random.standard_normal(n, np.float32) * np.float32(std)).view(np.uint8).reshape(n, 4)


BLOCK_WRITERS = {
    gguf.GGMLQuantizationType.Q8_0: BlockWriter(32, 34, _q8_0),
    gguf.GGMLQuantizationType.Q4_0: BlockWriter(32, 18, _q4_0),
    gguf.GGMLQuantizationType.Q6_K: BlockWriter(256, 210, _q6_k),
    gguf.GGMLQuantizationType.F32: BlockWriter(1, 4, _f32),
}


def _uniform_std(n_values: int) -> float:
    return math.sqrt((n_values**2 - 1) / 12)


def _signs(random: np.random.Generator, n: int) -> npt.NDArray[Any]:
    return random.integers(0, 2, n) * 2 - 1


def _halves(scales: npt.NDArray[Any]) -> Bytes:
    return scales.astype(np.float16).view(np.uint8).reshape(len(scales), 2)
