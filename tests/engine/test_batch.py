from __future__ import annotations

import numpy as np

from app.engine.batch import Batch


def test_rows_of_logits_are_numbered_in_batch_order() -> None:
    batch = Batch(8)
    assert batch.add(5, position=9, sequence=2) == 0
    assert batch.add_chunk(np.array([1, 2, 3], np.int32), position=4, sequence=1, output=False) == -1
    assert batch.add_chunk(np.array([6, 7], np.int32), position=0, sequence=3, output=True) == 1
    assert batch.tokens[:6].tolist() == [5, 1, 2, 3, 6, 7]
    assert batch.positions[:6].tolist() == [9, 4, 5, 6, 0, 1]
    assert batch.sequences[:6].tolist() == [2, 1, 1, 1, 3, 3]
    assert batch.outputs[:6].tolist() == [1, 0, 0, 0, 0, 1]
    assert (batch.n_tokens, batch.n_outputs, batch.room) == (6, 2, 2)


def test_a_cleared_batch_forgets_old_outputs() -> None:
    batch = Batch(4)
    batch.add(1, position=0, sequence=0)
    batch.clear()
    batch.add_chunk(np.array([1, 2], np.int32), position=0, sequence=0, output=False)
    assert batch.outputs[:2].tolist() == [0, 0]
    assert batch.n_outputs == 0
