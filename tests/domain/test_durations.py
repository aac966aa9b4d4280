from __future__ import annotations

import pytest

from app.domain.durations import FOREVER, keep_alive_s


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (300, 300.0),
        (0, 0.0),
        (-1, FOREVER),
        (-5.5, FOREVER),
        ("90", 90.0),
        ("90s", 90.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("500ms", 0.5),
        ("-1", FOREVER),
        ("-1m", FOREVER),
        ("0", 0.0),
        (" 2H ", 7200.0),
    ],
)
def test_seconds_and_durations_are_understood(given: str | float, seconds: float) -> None:
    assert keep_alive_s(given) == seconds


@pytest.mark.parametrize("given", ["", "soon", "5x", "m5", "1h 30m", "--1", "1e400", "nan"])
def test_what_is_no_duration_is_named(given: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        keep_alive_s(given)


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no duration"):
        keep_alive_s(float("nan"))


def test_what_is_longer_than_any_timer_is_cut() -> None:
    assert keep_alive_s(float("inf")) == keep_alive_s("9999999d") < 1e9
