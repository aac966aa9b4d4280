"""Which bytes are there, against a set of them."""

from __future__ import annotations

import random

from app.library.byte_ranges import ByteRanges


def test_ranges_know_what_a_set_of_bytes_knows() -> None:
    chance = random.Random(7)
    for _ in range(200):
        ranges, there = ByteRanges(), set[int]()
        for _ in range(chance.randrange(1, 12)):
            start = chance.randrange(60)
            end = start + chance.randrange(12)
            ranges.add(start, end)
            there.update(range(start, end))
        missing = [byte for byte in range(64) if byte not in there]
        assert ranges.total == len(there)
        assert {byte for start, end in ranges.spans for byte in range(start, end)} == there
        assert all(first[1] < second[0] for first, second in zip(ranges.spans, ranges.spans[1:], strict=False))
        assert ranges.prefix == missing[0]
        gap = ranges.first_gap(64)
        assert gap is not None
        assert gap[0] == missing[0]
        assert set(range(*gap)).isdisjoint(there)
        assert gap[1] == 64 or gap[1] in there


def test_nothing_is_missing_below_what_is_there() -> None:
    assert ByteRanges([(0, 10)]).first_gap(10) is None
    assert ByteRanges().first_gap(0) is None
