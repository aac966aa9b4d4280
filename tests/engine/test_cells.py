from __future__ import annotations

import random

import pytest

from app.engine.cells import CellLedger


def test_shared_cells_count_once_until_their_last_owner_goes() -> None:
    cells = CellLedger(100)
    cells.grow(0, 10)
    cells.share(0, 1, 6)
    cells.grow(1, 5)
    assert cells.used == 15
    cells.drop(0)
    assert cells.used == 11
    cells.drop(1)
    assert cells.free == 100


def test_growing_after_sharing_does_not_touch_the_other() -> None:
    cells = CellLedger(100)
    cells.grow(0, 4)
    cells.share(0, 1, 4)
    cells.grow(0, 3)
    assert (cells.length(0), cells.length(1), cells.used) == (7, 4, 7)


def test_cutting_inside_a_shared_run_keeps_it_for_the_other() -> None:
    cells = CellLedger(100)
    cells.grow(0, 10)
    cells.share(0, 1, 10)
    cells.cut(1, 3)
    assert (cells.length(0), cells.length(1), cells.used) == (10, 3, 10)
    cells.cut(0, 5)
    assert cells.used == 5


@pytest.mark.parametrize("seed", range(20))
def test_the_count_equals_a_count_of_every_cell(seed: int) -> None:
    rng = random.Random(seed)
    cells = CellLedger(10_000)
    model: dict[int, list[object]] = {}
    for _ in range(200):
        sequence = rng.randrange(6)
        match rng.randrange(4):
            case 0:
                n = rng.randrange(1, 20)
                cells.grow(sequence, n)
                model.setdefault(sequence, []).extend(object() for _ in range(n))
            case 1:
                keep = rng.randrange(30)
                cells.cut(sequence, keep)
                model[sequence] = model.get(sequence, [])[:keep]
            case 2:
                cells.drop(sequence)
                model.pop(sequence, None)
            case _:
                target = rng.randrange(6)
                if target != sequence and not model.get(target) and model.get(sequence):
                    n = rng.randrange(1, len(model[sequence]) + 1)
                    cells.share(sequence, target, n)
                    model[target] = model[sequence][:n]
        assert cells.used == len({id(cell) for run in model.values() for cell in run})
