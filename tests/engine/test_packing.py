from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.engine.packing import Packer

JOBS = st.lists(st.lists(st.integers(1, 40), max_size=12), max_size=8)


def _packer(*jobs: list[int]) -> Packer:
    packer = Packer()
    for name, lengths in enumerate(jobs):
        packer.add(str(name), lengths)
    return packer


def test_short_inputs_fill_what_a_long_one_leaves() -> None:
    packer = _packer([2, 9, 4, 1])
    assert packer.next(n_tokens=12, n_inputs=4) == [("0", 1), ("0", 0), ("0", 3)]
    assert packer.next(n_tokens=12, n_inputs=4) == [("0", 2)]
    assert packer.next(n_tokens=12, n_inputs=4) == []


def test_a_short_job_does_not_wait_for_a_long_one() -> None:
    packer = _packer([10] * 100, [3])
    batches = [packer.next(n_tokens=10, n_inputs=4) for _ in range(2)]
    assert ("1", 0) in [item for batch in batches for item in batch]


def test_an_input_longer_than_a_batch_goes_alone() -> None:
    packer = _packer([30, 1], [1])
    assert packer.next(n_tokens=10, n_inputs=4) == [("0", 0)]
    assert sorted(packer.next(n_tokens=10, n_inputs=4)) == [("0", 1), ("1", 0)]


def test_what_is_removed_is_not_handed_out() -> None:
    packer = _packer([1, 2], [3])
    packer.remove("0")
    packer.remove("unknown")
    assert packer.next(n_tokens=10, n_inputs=4) == [("1", 0)]
    assert len(packer) == 0


@given(JOBS, st.integers(1, 50), st.integers(1, 6))
def test_every_input_comes_once_within_the_limits_and_no_job_waits_for_more_batches_than_there_are_jobs(
    jobs: list[list[int]], n_tokens: int, n_inputs: int
) -> None:
    packer = _packer(*jobs)
    handed: Counter[tuple[str, int]] = Counter()
    last = {str(name): 0 for name in range(len(jobs))}
    number = 0
    while batch := packer.next(n_tokens=n_tokens, n_inputs=n_inputs):
        number += 1
        lengths = [jobs[int(job)][index] for job, index in batch]
        assert len(batch) <= n_inputs
        assert sum(lengths) <= n_tokens or len(batch) == 1
        handed.update(batch)
        for job in last:
            waits = sum(1 for name, _ in handed if name == job) < len(jobs[int(job)])
            if not waits or any(name == job for name, _ in batch):
                last[job] = number
            assert number - last[job] < len(jobs)
    assert handed == Counter((str(name), index) for name, lengths in enumerate(jobs) for index in range(len(lengths)))
