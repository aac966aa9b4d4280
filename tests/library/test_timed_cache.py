from __future__ import annotations

from app.library.timed_cache import TimedCache


def test_values_stay_for_a_while() -> None:
    now = 0.0
    cache: TimedCache[str] = TimedCache(size=2, kept_s=10, clock=lambda: now)
    cache.put("a", "x")

    now = 10.0
    assert cache.get("a") == "x"
    now = 10.1
    assert cache.get("a") is None


def test_the_one_that_was_used_longest_ago_goes_first() -> None:
    cache: TimedCache[str] = TimedCache(size=2, kept_s=10)
    cache.put("a", "x")
    cache.put("b", "y")
    cache.get("a")
    cache.put("c", "z")

    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("x", None, "z")
