"""Which tokens can still be chosen: exact pre-selections in numpy, so that the native chain sorts a hundred and not all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app.domain.errors import GenerationFailed
from app.domain.generation import SamplerStep, SamplingParams
from app.engine.decoder import FloatArray

__all__ = ["Candidates", "active_steps", "best_tokens", "candidates", "check_finite"]

_BLOCK = 64
# Candidates this far below the best logit hold all but e^-20 of the mass on any real vocabulary.
_NUCLEUS_STEPS = (6.0, 12.0, 20.0)
# Flatter than that, llama.cpp's own top-p decides: sums over so many tokens differ in their last digits.
_MOST_RANKED = 32_768


@dataclass(frozen=True, slots=True)
class Candidates:
    """Indices into a row of logits. `cut` means that the first active step of the chain is done already."""

    indices: npt.NDArray[np.intp]
    cut: bool = False


def active_steps(params: SamplingParams) -> tuple[SamplerStep, ...]:
    """The steps that change something, in their order, but for penalties and DRY, which are edits of the row."""
    active = {
        SamplerStep.TOP_N_SIGMA: params.top_n_sigma > 0,
        SamplerStep.TOP_K: params.top_k > 0,
        SamplerStep.TYPICAL_P: params.typical_p < 1,
        SamplerStep.TOP_P: params.top_p < 1,
        SamplerStep.MIN_P: params.min_p > 0,
        SamplerStep.XTC: params.xtc_probability > 0 and params.xtc_threshold <= 0.5,
        SamplerStep.TEMPERATURE: params.temperature != 1 or params.dynatemp_range > 0,
    }
    if params.mirostat:
        return (SamplerStep.TEMPERATURE,)
    return tuple(step for step in params.samplers if active.get(step))


def candidates(logits: FloatArray, params: SamplingParams, steps: tuple[SamplerStep, ...]) -> Candidates:
    """A set that surely holds every token that `steps`, the active steps, could leave over.

    Beginning with top-k it is a superset of the k best; with top-p the exact nucleus, measured on the mass of the whole
    vocabulary; with min-p or top-n-sigma every token above the threshold; else everything that is not ruled out.
    Raises GenerationFailed for logits that are no numbers.
    """
    match steps[:1]:
        case (SamplerStep.TOP_K,):
            return Candidates(best_tokens(logits, params.top_k))
        case (SamplerStep.TOP_P,):
            return _nucleus(logits, params.top_p)
        case (SamplerStep.MIN_P,):
            best = _best(logits)
            return Candidates(np.flatnonzero(logits >= best + np.log(np.float32(min(params.min_p, 1.0)))))
        case (SamplerStep.TOP_N_SIGMA,):
            return _near_the_best(logits, params, steps[1:])
        case _:
            return _everything(logits)


def best_tokens(logits: FloatArray, k: int) -> npt.NDArray[np.intp]:
    """Indices of the `k` best and a few more, in no order; only finite ones. One pass over memory. Raises GenerationFailed."""
    n = len(logits)
    n_blocks = n // _BLOCK
    if n_blocks <= k:
        _best(logits)
        threshold = np.partition(logits, n - k)[n - k] if k < n else np.float32(-np.inf)
    else:
        # At least k tokens are not below the k-th largest block maximum, so neither is any of the k best.
        maxima = logits[: n_blocks * _BLOCK].reshape(_BLOCK, n_blocks).max(axis=0)
        check_finite(max(maxima.max(), logits[-_BLOCK:].max(), key=_rank))
        threshold = np.partition(maxima, n_blocks - k)[n_blocks - k]
    return np.flatnonzero(logits >= threshold if threshold > -np.inf else logits > -np.inf)


def check_finite(best: np.float32) -> None:
    """The largest logit of a row is a finite number, unless the model's computation went wrong or all tokens are ruled out."""
    if not np.isfinite(best):
        raise GenerationFailed("The model's computation gave no valid result. Its file may be damaged.")


def _best(logits: FloatArray) -> np.float32:
    best: np.float32 = logits.max()
    check_finite(best)
    return best


def _everything(logits: FloatArray) -> Candidates:
    _best(logits)
    return Candidates(np.flatnonzero(logits > -np.inf))


def _nucleus(logits: FloatArray, top_p: float) -> Candidates:
    """The fewest tokens that together hold `top_p` of the mass, the best first; everything where those are many."""
    best = _best(logits)
    mass = np.exp(logits - best, dtype=np.float32)
    wanted = max(top_p, 0.0) * float(mass.sum(dtype=np.float64))
    for step in _NUCLEUS_STEPS:
        near = np.flatnonzero(logits >= best - np.float32(step))
        if len(near) > _MOST_RANKED:
            break
        if float(mass[near].sum(dtype=np.float64)) >= wanted:
            ranked = near[np.argsort(-logits[near])]
            cumulated = np.cumsum(mass[ranked], dtype=np.float64)
            return Candidates(ranked[: int(np.searchsorted(cumulated, wanted)) + 1], cut=True)
    return Candidates(np.flatnonzero(logits > -np.inf))


def _near_the_best(logits: FloatArray, params: SamplingParams, rest: tuple[SamplerStep, ...]) -> Candidates:
    """Within `top_n_sigma` standard deviations of the best, and of those what the next step could leave."""
    best = _best(logits)
    possible = logits if logits.min() > -np.inf else logits[logits > -np.inf]
    centred = possible - possible.mean(dtype=np.float64).astype(np.float32)
    sigma = np.sqrt(np.dot(centred, centred) / np.float32(len(centred)))
    near = np.flatnonzero(logits >= best - np.float32(params.top_n_sigma) * sigma)
    if rest[:1] == (SamplerStep.TOP_K,):
        near = near[best_tokens(logits[near], params.top_k)]
    return Candidates(near, cut=True)


def _rank(value: np.float32) -> float:
    """Order in which the largest shows whether anything is not a number."""
    return float("inf") if np.isnan(value) else float(value)
