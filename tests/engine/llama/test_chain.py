from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from app.domain.generation import SamplingParams
from app.engine.llama.chain import LlamaChain

OPEN = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}


def _shares(params: SamplingParams, logits: list[float], n: int = 2000) -> dict[int, float]:
    chain = LlamaChain(params, seed=1, n_vocab=5000)
    ids = np.arange(10, 10 + len(logits), dtype=np.int32)
    drawn = Counter(chain.choose(ids, np.array(logits, np.float32)) for _ in range(n))
    chain.close()
    chain.close()
    return {token: count / n for token, count in drawn.items()}


def test_draws_follow_the_probabilities() -> None:
    shares = _shares(SamplingParams(temperature=1.0, **OPEN), np.log([0.6, 0.3, 0.1]).tolist())  # type: ignore[arg-type]
    assert shares[10] == pytest.approx(0.6, abs=0.05)
    assert shares[12] == pytest.approx(0.1, abs=0.05)


def test_temperature_sharpens() -> None:
    shares = _shares(SamplingParams(temperature=0.25, **OPEN), np.log([0.6, 0.3, 0.1]).tolist())  # type: ignore[arg-type]
    assert shares[10] > 0.9


def test_truncation_leaves_the_others_out() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.05]).tolist()
    assert set(_shares(SamplingParams(temperature=1.0, top_k=2, top_p=1.0, min_p=0.0), logits)) == {10, 11}
    assert set(_shares(SamplingParams(temperature=1.0, top_k=4, top_p=0.79, min_p=0.0), logits)) == {10, 11}
    assert set(_shares(SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=0.4), logits)) == {10, 11}


def test_more_candidates_than_ever_before_find_room() -> None:
    chain = LlamaChain(SamplingParams(temperature=1.0, top_k=1), seed=1, n_vocab=5000)
    logits = np.zeros(5000, np.float32)
    logits[4321] = 9
    assert chain.choose(np.arange(5000, dtype=np.int32), logits) == 4321
    assert chain.choose(np.arange(3, dtype=np.int32), np.array([0, 5, 1], np.float32)) == 1
    chain.close()
