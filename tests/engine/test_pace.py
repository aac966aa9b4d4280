from __future__ import annotations

from app.engine.pace import Pace


def test_chunks_beside_answers_are_small_and_follow_the_measured_speed() -> None:
    pace = Pace()
    assert pace.chunk(alone=False) == 64
    for _ in range(20):
        pace.measure(n_read=500, n_written=1, seconds=0.5)
    assert 230 <= pace.chunk(alone=False) <= 251
    assert pace.chunk(alone=True) >= 512


def test_steps_of_answers_do_not_change_what_is_known_of_reading() -> None:
    pace = Pace()
    pace.measure(n_read=500, n_written=0, seconds=0.5)
    for _ in range(9):
        pace.measure(n_read=0, n_written=4, seconds=0.1)
    assert pace.tokens_per_s == 1000
    assert 0.099 < pace.step_s(4) < 0.101


def test_the_price_of_a_further_row_is_guessed_until_it_has_been_seen() -> None:
    pace = Pace()
    assert 1 < pace.ratio(1, 1) < pace.ratio(1, 4)
    assert not pace.knows(1)
    for _ in range(5):
        pace.measure(n_read=0, n_written=1, seconds=0.1)
        pace.measure(n_read=0, n_written=5, seconds=0.3)
    assert 2.9 < pace.ratio(1, 4) < 3.1
    assert pace.knows(1)
    assert pace.knows_more(1)
    # On the line between what has been seen.
    assert 1.9 < pace.ratio(1, 2) < 2.1
    assert 3.9 < pace.ratio(1, 6) < 4.1
    assert pace.ratio(60, 30) == float("inf")


def test_a_step_that_took_no_time_teaches_nothing() -> None:
    pace = Pace()
    pace.measure(n_read=100, n_written=0, seconds=0.0)
    assert pace.tokens_per_s == 0
