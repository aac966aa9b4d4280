from __future__ import annotations

from app.domain.generation import SamplingChoice, SamplingParams


def test_what_was_not_chosen_is_left_to_the_model() -> None:
    recommended = SamplingParams(temperature=0.3, top_k=20)
    assert SamplingChoice().over(recommended) == recommended
    chosen = SamplingChoice(temperature=0.0, seed=7, logit_bias=((1, -100.0),)).over(recommended)
    assert chosen == SamplingParams(temperature=0.0, top_k=20, seed=7, logit_bias=((1, -100.0),))
