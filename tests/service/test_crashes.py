"""Counting crashes."""

from __future__ import annotations

from app.service.crashes import CrashRecord


def record_at(*times: float) -> CrashRecord:
    """A record of crashes of "a" at these seconds."""
    clock = iter(times)
    crashes = CrashRecord(lambda: next(clock))
    for _ in times:
        crashes.add("a")
    return crashes


def test_the_third_crash_within_five_minutes_is_one_too_many() -> None:
    assert not record_at(0, 100).is_down("a")
    assert record_at(0, 100, 299).is_down("a")
    assert not record_at(0, 100, 301).is_down("a")


def test_only_the_model_that_crashes_is_down() -> None:
    assert not record_at(0, 1, 2).is_down("b")


def test_it_stays_down_until_it_is_forgiven_and_then_counts_anew() -> None:
    times = iter((0, 1, 2, 1000, 1001, 1002))
    crashes = CrashRecord(lambda: next(times))
    for _ in range(3):
        crashes.add("a")
    assert "three times" in crashes.reason("a")
    crashes.forgive("a")
    assert "next request" in crashes.reason("a")
    crashes.add("a")
    crashes.add("a")
    assert not crashes.is_down("a")
