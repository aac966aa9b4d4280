from __future__ import annotations

from app.domain.generation import Effort, ReasoningChoice, SamplingChoice, SamplingParams


def test_what_was_not_chosen_is_left_to_the_model() -> None:
    recommended = SamplingParams(temperature=0.3, top_k=20)
    assert SamplingChoice().over(recommended) == recommended
    chosen = SamplingChoice(temperature=0.0, seed=7, logit_bias=((1, -100.0),)).over(recommended)
    assert chosen == SamplingParams(temperature=0.0, top_k=20, seed=7, logit_bias=((1, -100.0),))


def test_wishes_for_reasoning_go_before_what_holds_by_default() -> None:
    default = ReasoningChoice(Effort.HIGH, 100)
    assert ReasoningChoice().over(default) == default
    assert ReasoningChoice(Effort.NONE).over(default) == ReasoningChoice(Effort.NONE, 100)
    assert ReasoningChoice(budget=-1).over(default) == ReasoningChoice(Effort.HIGH, -1)
