from __future__ import annotations

import hashlib

import numpy as np

from app.engine.decoder import PictureTokens
from app.engine.tokens import PlacedPicture, TokenizedPrompt, TokenRow, pseudo_ids, shared_prefix


def _row(*ids: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.array(ids, np.int32)


def test_the_shared_prefix_ends_at_the_first_difference() -> None:
    assert shared_prefix(_row(1, 2, 3), _row(1, 2, 4, 5)) == 2
    assert shared_prefix(_row(1, 2), _row(1, 2, 3)) == 2
    assert shared_prefix(_row(9, 2), _row(1, 2)) == 0
    assert shared_prefix(_row(), _row(1)) == 0


def test_a_row_grows_beyond_its_first_array() -> None:
    row = TokenRow(_row(1, 2))
    for token in range(1000):
        row.append(token)
    assert row.ids.tolist() == [1, 2, *range(1000)]
    row.cut(3)
    assert row.ids.tolist() == [1, 2, 0]


def test_a_picture_moves_the_position_by_its_own_measure_and_is_never_cut() -> None:
    picture = PictureTokens(b"k" * 32, n_tokens=10, n_positions=4, handle=None)
    prompt = TokenizedPrompt(np.zeros(20, np.int32), (PlacedPicture(5, picture),))
    assert [prompt.position(i) for i in (0, 5, 15, 19)] == [0, 5, 9, 13]
    assert [prompt.whole(i) for i in (4, 5, 6, 14, 15)] == [4, 5, 5, 5, 15]
    assert prompt.picture_at(5) is not None
    assert prompt.picture_at(6) is None
    assert prompt.next_picture(5) == 5
    assert prompt.next_picture(6) > 20


def test_pictures_are_told_apart_by_their_hash() -> None:
    one, other = (pseudo_ids(hashlib.sha256(data).digest(), 49) for data in (b"1", b"2"))
    assert (one < 0).all()
    assert shared_prefix(one, other) == 0
    assert one.tolist() == pseudo_ids(hashlib.sha256(b"1").digest(), 49).tolist()
