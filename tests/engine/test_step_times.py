from __future__ import annotations

from app.domain.generation import Usage
from app.engine.step_times import StepTimes


def test_the_parts_of_a_step_are_told_apart_and_added_up() -> None:
    times = StepTimes()
    for _ in range(3):
        times.begin()
        times.filled()
        times.decoded()
        times.sampled()
        times.end()
    stats = times.stats(2_000_000_000, active=4)
    assert stats.steps == 3
    assert min(stats.fill_s, stats.decode_s, stats.sample_s, stats.post_s) > 0
    assert max(stats.fill_s, stats.decode_s, stats.sample_s, stats.post_s) < 1
    assert (stats.send_s, stats.active) == (2.0, 4)


def test_a_step_without_a_batch_counts_no_decoding() -> None:
    times = StepTimes()
    times.begin()
    times.filled()
    times.end()
    assert times.stats(0).decode_s == 0


def test_tokens_are_counted_with_their_answers() -> None:
    times = StepTimes()
    times.guessed(8, 5)
    times.answered(Usage(10, 4, cached_tokens=6))
    times.answered(Usage(3, 2))
    stats = times.stats(0)
    assert (stats.prompt_tokens, stats.cached_tokens, stats.written_tokens) == (13, 6, 6)
    assert (stats.drafted, stats.accepted) == (8, 5)
