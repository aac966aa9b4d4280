"""Truncation, temperature and the draw, done by llama.cpp's own samplers on the few candidates that numpy has left."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from app.domain.errors import GenerationFailed
from app.domain.generation import SamplerStep, SamplingParams
from app.engine.candidates import active_steps
from app.engine.decoder import FloatArray, IntArray
from app.engine.llama.backend import start_backend

__all__ = ["LlamaChain"]

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
# The last seed means "draw one" to llama.cpp.
_SEEDS = 2**32 - 1
# How many of the most likely tokens the first mirostat judges the distribution by; llama-server's number.
_MIROSTAT_M = 100
# Entropies of tokens without any probability are no numbers.
_NO_MASS = 1e-35


class LlamaChain:
    """The active steps of one request in their order, then the draw. `seed` makes the draws repeatable. Engine thread only.

    The random state, mirostat's and adaptive-p's belong to the chain, and so to its request.
    """

    def __init__(self, params: SamplingParams, *, seed: int, n_vocab: int) -> None:
        self._native = native = start_backend()
        self._learns = params.adaptive_target >= 0 and not params.mirostat
        make = _Maker(native, params, seed % _SEEDS, n_vocab)
        steps = active_steps(params)
        # Apart from the others, because it is left out where numpy has done it already.
        self._first = self._link(make.step(step) for step in steps[:1])
        self._rest = self._link([*(make.step(step) for step in steps[1:]), make.draw()])
        self._room(512)

    def choose(self, ids: IntArray, logits: FloatArray, *, cut: bool = False) -> int:
        """Draw one of `ids`; `cut` where the first active step is done. Raises GenerationFailed if nothing is left to draw."""
        n = len(ids)
        if n > len(self._candidates):
            self._room(2 * n)
        self._candidates["id"][:n] = ids
        self._candidates["logit"][:n] = logits
        self._array.size, self._array.selected, self._array.sorted = n, -1, False
        if n:
            if not cut:
                self._native.llama_sampler_apply(self._first, self._reference)
            self._native.llama_sampler_apply(self._rest, self._reference)
        selected = int(self._array.selected)
        # Samplers may have pointed the array elsewhere.
        chosen = int(self._array.data[selected].id) if 0 <= selected < self._array.size else -1
        self._array.data = self._data
        if chosen < 0:
            raise GenerationFailed("No token is left to choose. Loosen the sampling parameters.")
        return chosen

    def accept(self, token: int) -> None:
        """Tell the chain which token was taken, where it learns from that."""
        if self._learns:
            self._native.llama_sampler_accept(self._rest, token)

    def close(self) -> None:
        if self._rest is not None:
            self._native.llama_sampler_free(self._first)
            self._native.llama_sampler_free(self._rest)
            self._first = self._rest = None

    def _link(self, groups: Any) -> Any:
        chain = self._native.llama_sampler_chain_init(self._native.llama_sampler_chain_default_params())
        for samplers in groups:
            for sampler in samplers:
                self._native.llama_sampler_chain_add(chain, sampler)
        return chain

    def _room(self, size: int) -> None:
        self._candidates = np.empty(size, _CANDIDATE)
        self._array = self._native.llama_token_data_array()
        self._data = ctypes.cast(self._candidates.ctypes.data, self._native.llama_token_data_p)
        self._array.data = self._data
        self._reference = ctypes.byref(self._array)


class _Maker:
    """Makes native samplers: a few for each step."""

    def __init__(self, native: Any, params: SamplingParams, seed: int, n_vocab: int) -> None:
        self._native = native
        self._params = params
        self._seed = seed
        self._n_vocab = n_vocab

    def step(self, step: SamplerStep) -> tuple[Any, ...]:
        native, params = self._native, self._params
        match step:
            case SamplerStep.TOP_N_SIGMA:
                return (native.llama_sampler_init_top_n_sigma(params.top_n_sigma),)
            case SamplerStep.TOP_K:
                return (native.llama_sampler_init_top_k(params.top_k),)
            case SamplerStep.TYPICAL_P:
                return (self._possible(), native.llama_sampler_init_typical(params.typical_p, 1))
            case SamplerStep.TOP_P:
                return (native.llama_sampler_init_top_p(params.top_p, 1),)
            case SamplerStep.MIN_P:
                return (native.llama_sampler_init_min_p(params.min_p, 1),)
            case SamplerStep.XTC:
                return (native.llama_sampler_init_xtc(params.xtc_probability, params.xtc_threshold, 1, self._seed),)
            case SamplerStep.TEMPERATURE if params.dynatemp_range > 0 and not params.mirostat:
                args = (params.temperature, params.dynatemp_range, params.dynatemp_exponent)
                return (native.llama_sampler_init_temp_ext(*args),)
            case SamplerStep.TEMPERATURE:
                return (native.llama_sampler_init_temp(params.temperature),)
            case _:
                raise AssertionError(f"{step} is an edit of the row")

    def draw(self) -> tuple[Any, ...]:
        native, params = self._native, self._params
        tau, eta = params.mirostat_tau, params.mirostat_eta
        if params.mirostat == 1:
            return (self._possible(), native.llama_sampler_init_mirostat(self._n_vocab, self._seed, tau, eta, _MIROSTAT_M))
        if params.mirostat == 2:
            return (self._possible(), native.llama_sampler_init_mirostat_v2(self._seed, tau, eta))
        if params.adaptive_target >= 0:
            return (native.llama_sampler_init_adaptive_p(params.adaptive_target, params.adaptive_decay, self._seed),)
        return (native.llama_sampler_init_dist(self._seed),)

    def _possible(self) -> Any:
        return self._native.llama_sampler_init_min_p(_NO_MASS, 1)
