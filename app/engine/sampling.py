"""Choosing the next token: sparse edits and exact candidate selection in numpy, truncation and draw in the native chain."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np
import numpy.typing as npt

from app.domain.errors import GenerationFailed
from app.domain.generation import SamplingParams, TokenLogprob
from app.engine.decoder import Chain, FloatArray, IntArray, Vocabulary

__all__ = ["Sampler", "candidates", "logprobs"]

_BLOCK = 64
# Candidates this far below the best logit hold all but e^-20 of the mass on any real vocabulary.
_NUCLEUS_STEPS = (6.0, 12.0, 20.0)


class Sampler:
    """One request's way of choosing. `chain` None takes the most likely token. Engine thread only."""

    def __init__(self, params: SamplingParams, *, chain: Chain | None, history: IntArray | None = None) -> None:
        self._params = params
        self._chain = chain
        self._bias_ids = np.array([token for token, _ in params.logit_bias], np.int32)
        self._bias = np.array([bias for _, bias in params.logit_bias], np.float32)
        self._window = _Window(params.repeat_last_n) if _penalises(params) else None
        if self._window is not None and history is not None:
            for token in history[-params.repeat_last_n :].tolist() if params.repeat_last_n > 0 else history.tolist():
                self.accept(token)

    def edit(self, row: FloatArray) -> None:
        """Apply penalties and biases to a row of logits, in place; once per row, before `pick`."""
        if self._window is not None and self._window.counts:
            self._penalise(row, self._window.counts)
        if len(self._bias_ids):
            row[self._bias_ids] += self._bias

    def pick(self, row: FloatArray) -> int:
        """Choose among all tokens of an edited row."""
        if self._chain is None:
            token = int(row.argmax())
            _check(row[token])
            return token
        chosen = candidates(row, self._params)
        return self._chain.choose(chosen.astype(np.int32), row[chosen])

    def pick_among(self, row: FloatArray, allowed: IntArray) -> int:
        """Choose among `allowed` tokens (at least one) of an edited row."""
        logits = row[allowed]
        return int(allowed[logits.argmax()]) if self._chain is None else self._draw(allowed, logits)

    def accept(self, token: int) -> None:
        """Remember a token of the prompt or the answer for the penalties."""
        if self._window is not None and token >= 0:
            self._window.add(token)

    def close(self) -> None:
        if self._chain is not None:
            self._chain.close()

    def _draw(self, ids: IntArray, logits: FloatArray) -> int:
        assert self._chain is not None
        chosen = candidates(logits, self._params)
        return self._chain.choose(ids[chosen], logits[chosen])

    def _penalise(self, row: FloatArray, counts: Counter[int]) -> None:
        ids = np.fromiter(counts.keys(), np.int32, len(counts))
        times = np.fromiter(counts.values(), np.float32, len(counts))
        logits = row[ids]
        repeat = np.float32(self._params.repeat_penalty)
        logits = np.where(logits > 0, logits / repeat, logits * repeat)
        row[ids] = logits - times * np.float32(self._params.frequency_penalty) - np.float32(self._params.presence_penalty)


class _Window:
    """The last `size` tokens and how often each occurs; a negative size keeps all."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._tokens: deque[int] = deque()
        self.counts: Counter[int] = Counter()

    def add(self, token: int) -> None:
        self._tokens.append(token)
        self.counts[token] += 1
        if 0 <= self._size < len(self._tokens):
            oldest = self._tokens.popleft()
            self.counts[oldest] -= 1
            if not self.counts[oldest]:
                del self.counts[oldest]


def candidates(logits: FloatArray, params: SamplingParams) -> npt.NDArray[np.intp]:
    """Indices of a set that surely holds every token the chain could choose.

    With top-k it is a superset of the k best. With top-p alone it is the exact nucleus, measured on the mass of the whole
    vocabulary. With min-p alone it is every token above the threshold. With none of them it is everything.
    """
    if params.top_k > 0:
        return _top_k(logits, params.top_k)
    best = logits.max()
    _check(best)
    if params.top_p < 1:
        return _nucleus(logits, best, params.top_p)
    if params.min_p > 0:
        return np.flatnonzero(logits >= best + np.log(np.float32(min(params.min_p, 1.0))))
    return np.arange(len(logits))


def logprobs(row: FloatArray, token: int, top: int, vocabulary: Vocabulary) -> TokenLogprob:
    """The chosen token's log probability and the `top` most likely tokens', from a row nobody has edited."""
    best = row.max()
    _check(best)
    normaliser = float(best + np.log(np.exp(row - best, dtype=np.float32).sum(dtype=np.float64)))
    n = min(top, len(row))
    alternatives: tuple[TokenLogprob, ...] = ()
    if n:
        ids = np.argpartition(row, len(row) - n)[len(row) - n :]
        ids = ids[np.argsort(-row[ids], kind="stable")]
        alternatives = tuple(_logprob(vocabulary, int(i), float(row[i]) - normaliser) for i in ids)
    return _logprob(vocabulary, token, float(row[token]) - normaliser, alternatives)


def _logprob(vocabulary: Vocabulary, token: int, value: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    raw = vocabulary.piece(token)
    return TokenLogprob(token, raw.decode("utf-8", "replace"), raw, min(value, 0.0), top)


def _top_k(logits: FloatArray, k: int) -> npt.NDArray[np.intp]:
    n = len(logits)
    n_blocks = n // _BLOCK
    if n_blocks <= k:
        _check(logits.max())
        return np.arange(n) if k >= n else np.flatnonzero(logits >= np.partition(logits, n - k)[n - k])
    # At least k tokens are not below the k-th largest block maximum, so neither is any of the k best. One pass over memory.
    maxima = logits[: n_blocks * _BLOCK].reshape(_BLOCK, n_blocks).max(axis=0)
    _check(max(maxima.max(), logits[-_BLOCK:].max(), key=_rank))
    return np.flatnonzero(logits >= np.partition(maxima, n_blocks - k)[n_blocks - k])


def _nucleus(logits: FloatArray, best: np.float32, top_p: float) -> npt.NDArray[np.intp]:
    """The fewest tokens that together hold `top_p` of the mass."""
    mass = np.exp(logits - best, dtype=np.float32)
    wanted = max(top_p, 0.0) * float(mass.sum(dtype=np.float64))
    for step in _NUCLEUS_STEPS:
        near = np.flatnonzero(logits >= best - np.float32(step))
        if float(mass[near].sum(dtype=np.float64)) >= wanted:
            break
    else:
        near = np.arange(len(logits))
    ranked = near[np.argsort(-logits[near], kind="stable")]
    cumulated = np.cumsum(mass[ranked], dtype=np.float64)
    return ranked[: int(np.searchsorted(cumulated, wanted)) + 1]


def _penalises(params: SamplingParams) -> bool:
    wanted = params.repeat_penalty != 1 or params.frequency_penalty != 0 or params.presence_penalty != 0
    return wanted and params.repeat_last_n != 0


def _rank(value: np.float32) -> float:
    """Order in which the largest shows whether anything is not a number."""
    return float("inf") if np.isnan(value) else float(value)


def _check(best: np.float32) -> None:
    """The largest logit of a row is a finite number, unless the model's computation went wrong."""
    if not np.isfinite(best):
        raise GenerationFailed("The model's computation gave no valid result. Its file may be damaged.")
