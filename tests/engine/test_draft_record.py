from __future__ import annotations

from app.engine.draft_record import DraftRecord


def test_the_chance_of_a_guess_follows_what_became_of_the_last_ones() -> None:
    record = DraftRecord()
    assert record.rate == 0.5
    for _ in range(20):
        record.add(4, 4)
    assert record.rate > 0.95
    for _ in range(20):
        record.add(4, 0)
    assert record.rate < 0.1
    assert (record.drafted, record.accepted) == (160, 80)


def test_after_a_while_without_guesses_another_one_is_tried() -> None:
    record = DraftRecord()
    tries = [record.skip() for _ in range(128)]
    assert sum(tries) == 4
