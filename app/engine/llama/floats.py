"""Numbers that llama.cpp owns, seen as a numpy array."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from app.engine.decoder import FloatArray

__all__ = ["floats_at"]


def floats_at(pointer: Any, count: int) -> FloatArray:
    """A writable view of `count` floats; valid only as long as llama.cpp keeps them there."""
    array = (ctypes.c_float * count).from_address(ctypes.addressof(pointer.contents))
    return np.frombuffer(memoryview(array), np.float32)
