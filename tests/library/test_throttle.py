"""A limit over all connections."""

from __future__ import annotations

import pytest

from app.library.throttle import Throttle


def test_bytes_take_the_time_they_should_whoever_receives_them() -> None:
    now = 100.0
    throttle = Throttle(lambda: 1000.0, clock=lambda: now)

    pauses = [throttle.pause_s(500), throttle.pause_s(500)]
    now += 5.0
    later = throttle.pause_s(500)

    assert pauses == pytest.approx([0.5, 1.0])
    # What was not used is not saved up.
    assert later == pytest.approx(0.5)


def test_without_a_limit_there_is_no_pause_and_a_new_one_holds_at_once() -> None:
    limit = 0.0
    throttle = Throttle(lambda: limit, clock=lambda: 0.0)
    assert throttle.pause_s(10**9) == 0.0

    limit = 100.0

    assert throttle.pause_s(100) == pytest.approx(1.0)
