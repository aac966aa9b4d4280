from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from app.domain.generation import SamplerStep, SamplingParams
from app.engine.candidates import active_steps, candidates
from app.engine.decoder import FloatArray
from tests.engine.rows import OPEN, params_of, random_row


def _indices(row: FloatArray, params: SamplingParams) -> npt.NDArray[np.intp]:
    return candidates(row, params, active_steps(params)).indices


@pytest.mark.parametrize("n", [1, 40, 64, 259, 5000, 128_256])
@pytest.mark.parametrize("k", [1, 40, 200])
def test_the_candidates_hold_all_of_the_best_k_and_little_more(n: int, k: int) -> None:
    row = random_row(n, n)
    chosen = _indices(row, params_of(top_k=k))
    best = np.argsort(-row, kind="stable")[:k]
    assert set(best.tolist()) <= set(chosen.tolist())
    assert len(chosen) <= max(64 * k, 64)


def test_ties_are_all_kept() -> None:
    assert len(_indices(np.zeros(1000, np.float32), params_of(top_k=40))) == 1000


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.95, 0.9999])
@pytest.mark.parametrize("flat", [False, True])
def test_the_nucleus_is_the_smallest_that_holds_its_mass(p: float, flat: bool) -> None:
    row = random_row(3, 3000) * np.float32(0.01 if flat else 1)
    chosen = _indices(row, params_of(top_p=p))
    mass = np.exp(row - row.max()).astype(np.float64)
    mass /= mass.sum()
    held = mass[chosen].sum()
    assert held >= p - 1e-6
    assert len(chosen) == 1 or held - mass[chosen].min() < p + 1e-6
    assert mass[chosen].min() >= np.delete(mass, chosen).max(initial=0) - 1e-12


def test_min_p_keeps_what_is_near_the_best() -> None:
    row = np.log(np.array([0.5, 0.06, 0.04, 0.4], np.float32))
    assert _indices(row, params_of(min_p=0.1)).tolist() == [0, 1, 3]


def test_without_truncation_everything_is_a_candidate() -> None:
    assert len(_indices(random_row(1), OPEN)) == 5000


def test_what_is_ruled_out_is_no_candidate() -> None:
    row = np.array([1, -np.inf, 3, -np.inf], np.float32)
    for params in (OPEN, params_of(top_k=3), params_of(top_p=0.99), params_of(min_p=0.01), params_of(top_n_sigma=5.0)):
        assert sorted(_indices(row, params).tolist()) == [0, 2]


def test_within_standard_deviations_of_the_best() -> None:
    row = np.array([0, 0, 0, 0, 0, 0, 0, 4, 6, 6], np.float32)
    assert _indices(row, params_of(top_n_sigma=1.0)).tolist() == [7, 8, 9]
    assert _indices(row, params_of(top_n_sigma=0.5)).tolist() == [8, 9]


def test_steps_that_change_nothing_are_not_active() -> None:
    assert active_steps(OPEN) == ()
    assert active_steps(replace(SamplingParams(), xtc_probability=0.5, xtc_threshold=0.6)) == (
        SamplerStep.TOP_K,
        SamplerStep.TOP_P,
        SamplerStep.MIN_P,
        SamplerStep.TEMPERATURE,
    )
    assert active_steps(replace(SamplingParams(), mirostat=2)) == (SamplerStep.TEMPERATURE,)
