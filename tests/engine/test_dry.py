from __future__ import annotations

import numpy as np

from app.domain.generation import SamplingParams
from app.engine.dry import DryPenalty, find_breakers
from tests.engine.fakes import FakeVocabulary

PARAMS = SamplingParams(dry_multiplier=1.0, dry_base=2.0, dry_allowed_length=1)
NONE = find_breakers((), FakeVocabulary())


def _penalties(written: str, params: SamplingParams = PARAMS, *breakers: str) -> dict[str, float]:
    row = np.zeros(FakeVocabulary.n_tokens, np.float32)
    DryPenalty(params, find_breakers(breakers, FakeVocabulary())).apply(
        row, np.frombuffer(written.encode(), np.uint8).astype(np.int32)
    )
    return {chr(token): -float(row[token]) for token in np.flatnonzero(row)}


def test_what_goes_on_with_a_passage_costs_the_more_the_longer_it_is() -> None:
    assert _penalties("abcd..ab") == {"c": 2.0}
    assert _penalties("abcd..abc") == {"d": 4.0}
    assert _penalties("abc") == {}


def test_a_breaker_ends_a_passage_and_costs_nothing_itself() -> None:
    assert _penalties("a:bcd..a:bc", PARAMS, ":") == {"d": 2.0}
    assert _penalties("ab:..ab", PARAMS, ":") == {}


def test_a_breaker_may_span_tokens() -> None:
    assert _penalties("xENDyzw..xENDyz", PARAMS, "END") == {"w": 2.0}
    assert _penalties("xENyzw..xENyz", PARAMS, "END") == {"w": 16.0}


def test_a_long_repetition_is_bounded_in_time_and_size() -> None:
    penalty = _penalties("a" * 20_000)["a"]
    assert 1e30 < penalty < float("inf")
