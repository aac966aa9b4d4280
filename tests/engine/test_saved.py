from __future__ import annotations

import numpy as np

from app.engine.saved import Checkpoint, SavedSequence, SavedStates


def _sequence(*ids: int, n_bytes: int = 100, owner: str | None = None) -> SavedSequence:
    return SavedSequence(np.array(ids, np.int32), np.zeros(n_bytes - 4 * len(ids), np.uint8), owner=owner)


def _checkpoint(*ids: int, n_bytes: int = 100) -> Checkpoint:
    return Checkpoint(np.array(ids, np.int32), np.zeros(n_bytes - 4 * len(ids), np.uint8))


def test_the_least_recently_used_goes_and_its_owner_hears_of_it() -> None:
    gone: list[SavedSequence] = []
    states = SavedStates(250, on_let_go=gone.append)
    first, second = _sequence(1, owner="a"), _sequence(2, owner="b")
    states.keep(first)
    states.keep(second)
    states.touch(first)
    states.keep(_checkpoint(3))
    assert gone == [second]
    assert list(states.sequences) == [first]
    assert states.used_bytes == 200


def test_what_is_larger_than_the_budget_goes_at_once_and_alone() -> None:
    gone: list[SavedSequence] = []
    states = SavedStates(250, on_let_go=gone.append)
    states.keep(_sequence(1))
    large = _sequence(2, n_bytes=300)
    states.keep(large)
    assert gone == [large]
    assert states.used_bytes == 100


def test_a_longer_sequence_takes_the_place_of_its_own_beginning() -> None:
    states = SavedStates(1000)
    states.keep(_sequence(1, 2))
    states.keep(_sequence(7, 8))
    longer = _sequence(1, 2, 3)
    states.keep(longer)
    assert [one.ids.tolist() for one in states.sequences] == [[7, 8], [1, 2, 3]]


def test_the_beginning_that_belongs_to_another_conversation_stays() -> None:
    states = SavedStates(1000)
    states.keep(_sequence(1, 2, owner="a"))
    states.keep(_sequence(1, 2, 3, owner="b"))
    assert len(list(states.sequences)) == 2


def test_the_furthest_checkpoint_of_the_same_tokens_is_found() -> None:
    states = SavedStates(1000)
    for ids in ([1], [1, 2, 3], [1, 2, 9], [1, 2, 3, 4, 5]):
        states.keep(_checkpoint(*ids))
    ids = np.array([1, 2, 3, 4, 6], np.int32)
    found = states.checkpoint(ids, 4)
    assert found is not None
    assert found.ids.tolist() == [1, 2, 3]
    assert states.checkpoint(np.array([5], np.int32), 1) is None


def test_a_conversation_is_forgotten_whole() -> None:
    states = SavedStates(1000)
    states.keep(_sequence(1, owner="a"))
    states.keep(_sequence(2, owner="b"))
    states.forget("a")
    assert [one.owner for one in states.sequences] == ["b"]
    states.clear()
    assert states.used_bytes == 0
