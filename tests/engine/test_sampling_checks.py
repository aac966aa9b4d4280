from __future__ import annotations

import math
from typing import Any

import pytest

from app.domain.errors import InvalidRequest
from app.domain.generation import SamplerStep, SamplingParams
from app.engine.sampling_checks import check_sampling, sampler_order


@pytest.mark.parametrize(
    "params", [{}, {"temperature": 0}, {"mirostat": 2, "mirostat_tau": 0}, {"min_tokens": 8}, {"samplers": ()}, {"dry_base": 1}]
)
def test_what_makes_sense_passes(params: dict[str, Any]) -> None:
    check_sampling(SamplingParams(**params), max_tokens=8)


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": -1}, {"temperature": math.nan}, {"temperature": math.inf}, {"dynatemp_range": -1}, {"top_k": -1},
        {"top_p": 1.1}, {"min_p": -0.1}, {"typical_p": 2}, {"top_n_sigma": math.nan}, {"xtc_probability": 2},
        {"xtc_threshold": -1}, {"mirostat": 3}, {"mirostat_tau": -1}, {"mirostat_eta": 2}, {"adaptive_target": 2},
        {"adaptive_decay": 1}, {"dry_multiplier": math.inf}, {"dry_base": 0.5}, {"dry_allowed_length": -1},
        {"dry_penalty_last_n": -2}, {"dry_sequence_breakers": ("",)}, {"dry_sequence_breakers": ("x",) * 17},
        {"repeat_penalty": 0}, {"frequency_penalty": math.nan}, {"repeat_last_n": -2}, {"min_tokens": 9},
        {"logit_bias": ((1, math.inf),)}, {"samplers": (SamplerStep.TOP_K, SamplerStep.TOP_K)},
        {"samplers": (SamplerStep.TOP_K, SamplerStep.DRY)},
    ],
)  # fmt: skip
def test_what_makes_none_is_refused_by_name(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_sampling(SamplingParams(**params), max_tokens=8)
    assert caught.value.param == next(iter(params))


def test_a_file_may_recommend_an_order() -> None:
    assert sampler_order("dry;top-k; temp") == (SamplerStep.DRY, SamplerStep.TOP_K, SamplerStep.TEMPERATURE)
    assert sampler_order("") is None


@pytest.mark.parametrize("sequence", ["top_k;no_such_step", "top_k;penalties", "top_k;top_k"])
def test_an_order_that_can_not_be_followed_is_none(sequence: str) -> None:
    assert sampler_order(sequence) is None
