"""LoRA adapters: small files of changes to a model's weights."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from app.engine.llama.backend import start_backend
from app.engine.llama.model import LlamaModel

__all__ = ["LlamaAdapters"]


class LlamaAdapters:
    """Owns the adapters of one model. To be filled before a context is made, and closed after it. Engine thread only."""

    def __init__(self, model: LlamaModel) -> None:
        self._native = start_backend()
        self._model = model
        self._handles: list[Any] = []
        self._scales: list[float] = []

    def add(self, path: Path, scale: float) -> bool:
        """False if llama.cpp refused the file, or it was made for another model; the log says which."""
        handle = self._native.llama_adapter_lora_init(self._model.handle, str(path).encode("utf-8", "surrogateescape"))
        if not handle:
            return False
        self._handles.append(handle)
        self._scales.append(scale)
        return True

    def apply(self, context: Any) -> None:
        count = len(self._handles)
        if count:
            handles = (self._native.llama_adapter_lora_p_ctypes * count)(*self._handles)
            self._native.llama_set_adapters_lora(context, handles, count, (ctypes.c_float * count)(*self._scales))

    def close(self) -> None:
        for handle in self._handles:
            self._native.llama_adapter_lora_free(handle)
        self._handles.clear()
