"""Truncation, temperature and the draw, done by llama.cpp's own samplers on the few candidates that numpy has left."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from app.domain.generation import SamplingParams
from app.engine.decoder import FloatArray, IntArray
from app.engine.llama.backend import start_backend

__all__ = ["LlamaChain"]

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class LlamaChain:
    """top-k, top-p, min-p, temperature, draw: llama.cpp's default order. `seed` makes the draws repeatable.

    top-p is left out when `top_k` is off: it needs the whole vocabulary's mass, so `app.engine.sampling` cuts it exactly.
    """

    def __init__(self, params: SamplingParams, *, seed: int) -> None:
        self._native = native = start_backend()
        self._chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        steps: list[Any] = []
        if params.top_k > 0:
            steps.append(native.llama_sampler_init_top_k(params.top_k))
            if params.top_p < 1:
                steps.append(native.llama_sampler_init_top_p(params.top_p, 1))
        if params.min_p > 0:
            steps.append(native.llama_sampler_init_min_p(params.min_p, 1))
        steps.append(native.llama_sampler_init_temp(params.temperature))
        steps.append(native.llama_sampler_init_dist(seed))
        for step in steps:
            native.llama_sampler_chain_add(self._chain, step)
        self._room(512)

    def choose(self, ids: IntArray, logits: FloatArray) -> int:
        n = len(ids)
        if n > len(self._candidates):
            self._room(2 * n)
        self._candidates["id"][:n] = ids
        self._candidates["logit"][:n] = logits
        self._array.size, self._array.selected, self._array.sorted = n, -1, False
        self._native.llama_sampler_apply(self._chain, self._reference)
        # Samplers may have pointed the array elsewhere.
        chosen = int(self._array.data[self._array.selected].id)
        self._array.data = self._data
        return chosen

    def close(self) -> None:
        if self._chain is not None:
            self._native.llama_sampler_free(self._chain)
            self._chain = None

    def _room(self, size: int) -> None:
        self._candidates = np.empty(size, _CANDIDATE)
        self._array = self._native.llama_token_data_array()
        self._data = ctypes.cast(self._candidates.ctypes.data, self._native.llama_token_data_p)
        self._array.data = self._data
        self._reference = ctypes.byref(self._array)
