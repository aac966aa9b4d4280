from __future__ import annotations

import numpy as np
import pytest

from app.domain.errors import GenerationFailed
from app.domain.generation import SamplingParams
from app.engine.decoder import FloatArray
from app.engine.llama.chain import LlamaChain
from app.engine.sampling import Sampler, candidates, logprobs
from tests.engine.fakes import FakeVocabulary

OPEN = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)


def _row(seed: int, n: int = 5000) -> FloatArray:
    rng = np.random.default_rng(seed)
    row = (rng.standard_normal(n) * 2 - 4).astype(np.float32)
    hot = rng.integers(0, n, 60)
    row[hot] += rng.uniform(4, 18, 60).astype(np.float32)
    return row


def _params(**changes: float) -> SamplingParams:
    return SamplingParams(**{name: getattr(OPEN, name) for name in ("temperature", "top_k", "top_p", "min_p")} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [1, 40, 64, 259, 5000, 128_256])
@pytest.mark.parametrize("k", [1, 40, 200])
def test_the_candidates_hold_all_of_the_best_k_and_little_more(n: int, k: int) -> None:
    row = _row(n, n)
    chosen = candidates(row, _params(top_k=k))
    best = np.argsort(-row, kind="stable")[:k]
    assert set(best.tolist()) <= set(chosen.tolist())
    assert len(chosen) <= max(64 * k, 64)


def test_ties_are_all_kept() -> None:
    assert len(candidates(np.zeros(1000, np.float32), _params(top_k=40))) == 1000


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.95, 0.9999])
@pytest.mark.parametrize("flat", [False, True])
def test_the_nucleus_is_the_smallest_that_holds_its_mass(p: float, flat: bool) -> None:
    row = _row(3) * np.float32(0.01 if flat else 1)
    chosen = candidates(row, _params(top_p=p))
    mass = np.exp(row - row.max()).astype(np.float64)
    mass /= mass.sum()
    held = mass[chosen].sum()
    assert held >= p - 1e-6
    assert len(chosen) == 1 or held - mass[chosen].min() < p + 1e-6
    assert mass[chosen].min() >= np.delete(mass, chosen).max(initial=0) - 1e-12


def test_min_p_keeps_what_is_near_the_best() -> None:
    row = np.log(np.array([0.5, 0.06, 0.04, 0.4], np.float32))
    assert candidates(row, _params(min_p=0.1)).tolist() == [0, 1, 3]


def test_without_truncation_everything_is_a_candidate() -> None:
    assert len(candidates(_row(1), OPEN)) == 5000


@pytest.mark.parametrize("params", [_params(top_k=40, top_p=0.9, min_p=0.05), _params(top_p=0.8), _params(top_k=3)])
def test_preselecting_changes_no_draw(params: SamplingParams) -> None:
    """The same seed on the whole vocabulary, truncated by llama.cpp alone, draws the same tokens."""
    fast = Sampler(params, chain=LlamaChain(params, seed=11))
    # Its own top-p over everything is what the exact nucleus must agree with.
    native = LlamaChain(params if params.top_k else _params(top_k=5000, top_p=params.top_p, min_p=params.min_p), seed=11)
    everything = np.arange(5000, dtype=np.int32)
    for seed in range(40):
        row = _row(seed)
        assert fast.pick(row) == native.choose(everything, row)
    fast.close()
    native.close()


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others() -> None:
    def draw(seed: int) -> list[int]:
        sampler = Sampler(_params(top_k=40), chain=LlamaChain(_params(top_k=40), seed=seed))
        tokens = [sampler.pick(_row(i) * np.float32(0.1)) for i in range(20)]
        sampler.close()
        return tokens

    assert draw(5) == draw(5)
    assert draw(5) != draw(6)


def test_temperature_zero_takes_the_best() -> None:
    row = _row(9)
    assert Sampler(SamplingParams(temperature=0), chain=None).pick(row) == int(row.argmax())


def test_penalties_and_biases_touch_only_their_tokens() -> None:
    penalties = {"repeat_penalty": 2.0, "frequency_penalty": 0.5, "presence_penalty": 0.25}
    params = SamplingParams(temperature=0, logit_bias=((3, 7.0), (4, -float("inf"))), **penalties)  # type: ignore[arg-type]
    sampler = Sampler(params, chain=None, history=np.array([1, 1, -5, 2], np.int32))
    row = np.array([1, 4, -1, 0, 9], np.float32)
    sampler.edit(row)
    assert row.tolist() == [1, 4 / 2 - 2 * 0.5 - 0.25, -1 * 2 - 0.5 - 0.25, 7, -np.inf]


def test_penalties_forget_what_has_left_the_window() -> None:
    params = SamplingParams(temperature=0, presence_penalty=1.0, repeat_last_n=2)
    sampler = Sampler(params, chain=None, history=np.array([0, 1], np.int32))
    sampler.accept(2)
    row = np.zeros(4, np.float32)
    sampler.edit(row)
    assert row.tolist() == [0, -1, -1, 0]


def test_a_choice_among_allowed_tokens_is_the_best_of_them() -> None:
    row = np.array([9, 1, 5, 3], np.float32)
    assert Sampler(SamplingParams(temperature=0), chain=None).pick_among(row, np.array([1, 2], np.int32)) == 2
    drawn = Sampler(_params(top_k=1), chain=LlamaChain(_params(top_k=1), seed=1))
    assert drawn.pick_among(row, np.array([1, 3], np.int32)) == 3
    drawn.close()


@pytest.mark.parametrize("params", [SamplingParams(temperature=0), _params(top_k=40), _params(top_p=0.5), _params(min_p=0.5)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_broken_logits_are_an_error(params: SamplingParams, value: float) -> None:
    row = _row(2)
    row[17] = value
    chain = None if params.temperature == 0 else LlamaChain(params, seed=1)
    sampler = Sampler(params, chain=chain)
    with pytest.raises(GenerationFailed):
        sampler.pick(row)
    sampler.close()


def test_log_probabilities_are_those_of_the_whole_vocabulary() -> None:
    row = _row(4, FakeVocabulary.n_tokens)
    best = logprobs(row, 7, 5, FakeVocabulary())
    expected = row - row.max() - np.log(np.exp(row - row.max()).sum())
    assert best.logprob == pytest.approx(float(expected[7]), abs=1e-4)
    assert [one.token_id for one in best.top] == np.argsort(-row, kind="stable")[:5].tolist()
    every = logprobs(row, 7, FakeVocabulary.n_tokens, FakeVocabulary())
    assert sum(np.exp(one.logprob) for one in every.top) == pytest.approx(1, abs=1e-4)
    assert logprobs(row, 7, 0, FakeVocabulary()).top == ()
