"""llama.cpp's own chain over the whole vocabulary, put together as llama-server does: what ours must draw the same as."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from app.domain.generation import SamplingParams
from app.engine.decoder import FloatArray
from app.engine.llama.backend import start_backend

__all__ = ["NativeChain"]

_TOKEN = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class NativeChain:
    def __init__(self, params: SamplingParams, *, seed: int, n_vocab: int, vocabulary: Any = None) -> None:
        self._native = native = start_backend()
        self._n_vocab = n_vocab
        p = params
        chain: list[Any] = [self._bias(p)] if p.logit_bias else []
        penalties = (p.repeat_last_n, p.repeat_penalty, p.frequency_penalty, p.presence_penalty)
        if p.mirostat:
            chain += [native.llama_sampler_init_temp(p.temperature)]
            args = (seed, p.mirostat_tau, p.mirostat_eta)
            chain += [
                native.llama_sampler_init_mirostat(n_vocab, *args, 100)
                if p.mirostat == 1
                else native.llama_sampler_init_mirostat_v2(*args)
            ]
        else:
            chain += [
                native.llama_sampler_init_penalties(n_vocab, *penalties),
                *([self._dry(p, vocabulary)] if vocabulary is not None else []),
                native.llama_sampler_init_top_n_sigma(p.top_n_sigma),
                native.llama_sampler_init_top_k(p.top_k),
                native.llama_sampler_init_typical(p.typical_p, 0),
                native.llama_sampler_init_top_p(p.top_p, 0),
                native.llama_sampler_init_min_p(p.min_p, 0),
                native.llama_sampler_init_xtc(p.xtc_probability, p.xtc_threshold, 0, seed),
                native.llama_sampler_init_temp_ext(p.temperature, p.dynatemp_range, p.dynatemp_exponent),
                native.llama_sampler_init_dist(seed)
                if p.adaptive_target < 0
                else native.llama_sampler_init_adaptive_p(p.adaptive_target, p.adaptive_decay, seed),
            ]
        self._chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        for sampler in chain:
            native.llama_sampler_chain_add(self._chain, sampler)

    def pick(self, row: FloatArray) -> int:
        tokens = np.zeros(len(row), _TOKEN)
        tokens["id"], tokens["logit"] = np.arange(len(row)), row
        array = self._native.llama_token_data_array()
        array.data = ctypes.cast(tokens.ctypes.data, self._native.llama_token_data_p)
        array.size, array.selected, array.sorted = len(row), -1, False
        self._native.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def accept(self, token: int) -> None:
        self._native.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        self._native.llama_sampler_free(self._chain)

    def _bias(self, params: SamplingParams) -> Any:
        biases = (self._native.llama_logit_bias * len(params.logit_bias))(*params.logit_bias)
        return self._native.llama_sampler_init_logit_bias(self._n_vocab, len(biases), biases)

    def _dry(self, params: SamplingParams, vocabulary: Any) -> Any:
        breakers = [text.encode() for text in params.dry_sequence_breakers]
        words = (ctypes.c_char_p * len(breakers))(*breakers)
        sizes = (params.dry_multiplier, params.dry_base, params.dry_allowed_length, params.dry_penalty_last_n)
        return self._native.llama_sampler_init_dry(vocabulary.handle, *sizes, words, len(breakers))
