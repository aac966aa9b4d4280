from __future__ import annotations

from collections.abc import Sequence as Ids

import numpy as np
import pytest

from app.engine.decoder import MemoryKind
from app.engine.prompt_cache import PromptCache
from app.engine.saved import SavedStates
from app.engine.sequences import Sequence
from app.engine.tokens import TokenizedPrompt, TokenRow
from tests.engine.fakes import FakeDecoder


class _Computer:
    """Attaches prompts and computes them at once."""

    def __init__(self, decoder: FakeDecoder, *, saved_bytes: int = 0) -> None:
        self.decoder = decoder
        self.cache = PromptCache(decoder, SavedStates(saved_bytes), is_control=lambda token: token >= 1000)

    def attach(self, ids: Ids[int], *, reserve: int = 0, owner: str | None = None) -> Sequence | None:
        row = np.array(ids, np.int32)
        return self.cache.attach(TokenRow(row), TokenizedPrompt(row), reserve=reserve, owner=owner)

    def compute(self, ids: Ids[int], n: int | None = None) -> Sequence:
        sequence = self.attach(ids)
        assert sequence is not None
        left = sequence.n_left if n is None else n
        batch = self.decoder.batch
        batch.clear()
        tokens = sequence.row.ids[sequence.n_past : sequence.n_past + left]
        batch.add_chunk(tokens, position=sequence.position, sequence=sequence.id, output=False)
        self.decoder.decode()
        self.cache.advance(sequence, left)
        return sequence

    def park(self, ids: Ids[int]) -> None:
        self.cache.park(self.compute(ids))


def test_the_longest_beginning_in_common_is_taken_over() -> None:
    computer = _Computer(FakeDecoder())
    computer.park([1, 2, 3, 4])
    computer.park([5, 2, 3, 4, 6, 7])
    sequence = computer.attach([5, 2, 3, 4, 6, 9])
    assert sequence is not None
    assert sequence.n_past == 5
    assert len(computer.cache.parked) == 1


def test_a_short_beginning_is_shared_and_the_long_conversation_stays() -> None:
    computer = _Computer(FakeDecoder())
    computer.park([1, 2, 3, *range(10, 30)])
    sequence = computer.compute([1, 2, 3, 4, 5])
    assert len(computer.cache.parked) == 1
    assert computer.cache.free_cells == 1024 - 23 - 2 == computer.decoder.n_cells - computer.decoder.used_cells
    computer.cache.park(sequence)
    again = computer.attach([1, 2, 3, *range(10, 31)])
    assert again is not None
    assert again.n_past == 23


def test_a_running_sequence_shares_what_it_has_computed() -> None:
    computer = _Computer(FakeDecoder())
    computer.compute([1, 2, 3, 4, 5, 6], n=4)
    sequence = computer.attach([1, 2, 3, 4, 5, 9])
    assert sequence is not None
    assert sequence.n_past == 4


def test_a_prompt_waits_for_a_long_beginning_that_is_being_computed() -> None:
    computer = _Computer(FakeDecoder())
    long = list(range(100))
    computer.compute(long, n=10)
    row = np.array([*long[:90], 200], np.int32)
    assert computer.cache.worth_waiting(TokenRow(row), TokenizedPrompt(row))
    other = np.array([7, 8, 9], np.int32)
    assert not computer.cache.worth_waiting(TokenRow(other), TokenizedPrompt(other))


def test_the_least_recently_used_goes_first() -> None:
    computer = _Computer(FakeDecoder(n_cells=30))
    computer.park([1] * 10)
    computer.park([2] * 10)
    computer.park([1] * 10)
    sequence = computer.attach([3] * 15)
    assert sequence is not None
    assert [int(parked.row.ids[0]) for parked in computer.cache.parked] == [1]


def test_a_prompt_that_does_not_fit_now_gets_nothing_and_disturbs_nobody() -> None:
    computer = _Computer(FakeDecoder(n_cells=30))
    running = computer.compute([1] * 20)
    assert computer.attach([2] * 10, reserve=1) is None
    assert (running.n_past, computer.cache.free_cells) == (20, 10)
    assert computer.attach([2] * 9, reserve=1) is not None


def test_numbers_of_sequences_are_used_again() -> None:
    computer = _Computer(FakeDecoder(n_sequences=3))
    for i in range(10):
        computer.park([i, i, i])
    assert len(computer.cache.parked) == 3
    computer.cache.drop(computer.compute([50, 51]))
    assert len({parked.id for parked in computer.cache.parked}) == 2


def test_a_computed_token_can_be_taken_back_where_the_model_allows_it() -> None:
    computer = _Computer(FakeDecoder())
    sequence = computer.compute([1, 2, 3])
    assert computer.cache.cut(sequence, 2)
    assert (sequence.n_past, computer.cache.free_cells) == (2, 1022)
    recurrent = _Computer(FakeDecoder(memory=MemoryKind.RECURRENT))
    assert not recurrent.cache.cut(recurrent.compute([1, 2, 3]), 2)


def test_a_window_may_be_cut_only_while_it_is_still_there() -> None:
    computer = _Computer(FakeDecoder(memory=MemoryKind.WINDOWED, n_window=8))
    computer.park(list(range(40)))
    near = computer.attach([*range(36), 99])
    assert near is not None
    assert near.n_past == 36
    computer = _Computer(FakeDecoder(memory=MemoryKind.WINDOWED, n_window=8))
    computer.park(list(range(40)))
    far = computer.attach([*range(28), 99])
    assert far is not None
    assert far.n_past == 0


def test_clearing_forgets_everything() -> None:
    computer = _Computer(FakeDecoder())
    computer.park([1, 2, 3])
    computer.cache.clear()
    assert computer.cache.parked == ()
    assert computer.cache.free_cells == 1024
    sequence = computer.attach([1, 2, 3])
    assert sequence is not None
    assert sequence.n_past == 0


def test_a_sequence_that_gives_way_comes_back_from_the_host() -> None:
    computer = _Computer(FakeDecoder(n_cells=200), saved_bytes=10_000)
    long = list(range(150))
    computer.park(long)
    computer.park([900] * 100)
    assert len(computer.cache.parked) == 1
    back = computer.attach([*long, 7])
    assert back is not None
    assert back.n_past == 150
    assert computer.decoder.restores == 1
    assert computer.cache.saved.used_bytes < 10_000


def test_what_llama_refuses_to_take_back_is_computed_again() -> None:
    computer = _Computer(FakeDecoder(n_cells=200), saved_bytes=10_000)
    computer.park(list(range(150)))
    computer.park([900] * 100)
    computer.decoder.refuse_restore = True
    back = computer.compute([*range(150), 7])
    assert back.n_past == 151
    assert not [one for one in computer.cache.saved.sequences if one.ids[0] == 0]


def test_a_suspended_sequence_goes_on_where_it_was() -> None:
    computer = _Computer(FakeDecoder(), saved_bytes=0)
    sequence = computer.compute(list(range(100)))
    copy = computer.cache.suspend(sequence)
    assert copy is not None
    assert computer.cache.free_cells == 1024
    row = np.arange(101, dtype=np.int32)
    again = computer.cache.resume(copy, TokenRow(row), TokenizedPrompt(row), reserve=0, owner=None)
    assert again is not None
    assert (again.n_past, again.n_left, computer.cache.free_cells) == (100, 1, 924)


@pytest.mark.parametrize("memory", [MemoryKind.WINDOWED, MemoryKind.RECURRENT])
def test_turns_leave_checkpoints_that_any_later_prompt_can_use(memory: MemoryKind) -> None:
    computer = _Computer(FakeDecoder(memory=memory, n_window=8), saved_bytes=100_000)
    system = [1000, *range(60)]
    _compute_in_chunks(computer, [*system, 1001, *range(100, 160), 1002, 5])
    sequence = computer.attach([*system, 1001, *range(200, 260), 1002, 6])
    assert sequence is not None
    assert sequence.n_past == 61
    # The first conversation is still there, and is taken up whole.
    assert len(computer.cache.parked) == 1


@pytest.mark.parametrize("memory", [MemoryKind.WINDOWED, MemoryKind.RECURRENT])
def test_where_two_prompts_departed_a_third_begins(memory: MemoryKind) -> None:
    computer = _Computer(FakeDecoder(memory=memory, n_window=8, n_sequences=4), saved_bytes=100_000)
    for last in (200, 300):
        _compute_in_chunks(computer, [*range(100), *range(last, last + 50)])
    sequence = computer.attach([*range(100), *range(400, 450)])
    assert sequence is not None
    assert sequence.n_past == 100


def test_a_prompt_makes_a_running_one_pause_where_they_part() -> None:
    computer = _Computer(FakeDecoder(memory=MemoryKind.RECURRENT), saved_bytes=100_000)
    running = computer.compute(list(range(200)), n=20)
    row = np.array([*range(150), 900, 901], np.int32)
    assert computer.cache.worth_waiting(TokenRow(row), TokenizedPrompt(row))
    assert running.until_stop() == 130


def test_a_checkpoint_that_llama_refuses_is_done_without() -> None:
    computer = _Computer(FakeDecoder(memory=MemoryKind.RECURRENT), saved_bytes=100_000)
    system = [1000, *range(60)]
    _compute_in_chunks(computer, [*system, 1001, *range(100, 160), 1002, 5])
    computer.decoder.refuse_restore = True
    sequence = computer.compute([*system, 1001, *range(200, 260), 1002, 6])
    assert sequence.n_past == 124


def test_nothing_is_kept_of_a_conversation_that_is_forgotten() -> None:
    computer = _Computer(FakeDecoder(n_cells=200), saved_bytes=10_000)
    for first in (0, 500):
        sequence = computer.attach(range(first, first + 120), owner="chat")
        assert sequence is not None
        computer.cache.advance(sequence, 120)
        computer.cache.park(sequence)
    assert {one.owner for one in computer.cache.owned()} == {"chat"}
    computer.cache.forget("chat")
    assert not computer.cache.has_owned
    assert list(computer.cache.owned()) == []
    assert computer.cache.parked == ()


def test_a_window_that_comes_back_from_the_host_is_not_cut() -> None:
    """Of a window only what the next token needs is saved, though more was still there."""
    computer = _Computer(FakeDecoder(memory=MemoryKind.WINDOWED, n_window=8, n_kept=100, n_cells=200), saved_bytes=100_000)
    computer.park(list(range(150)))
    computer.park([900] * 100)
    sequence = computer.compute([*range(120), 7])
    assert sequence.n_past == 121
    computer.cache.park(sequence)
    computer.park([901] * 120)
    assert computer.compute([*range(150), 7]).n_past == 151


@pytest.mark.parametrize("n_bytes", [700, 1300, 1700])
def test_what_a_prompt_was_to_begin_with_may_have_to_go_while_room_is_made_for_it(n_bytes: int) -> None:
    decoder = FakeDecoder(memory=MemoryKind.RECURRENT, n_cells=260, n_sequences=3)
    computer = _Computer(decoder, saved_bytes=n_bytes)
    system = [1000, *range(60)]
    for last in range(200, 240):
        _compute_in_chunks(computer, [*system, 1001, *range(last, last + 70), 1002, 5])


def _compute_in_chunks(computer: _Computer, ids: Ids[int]) -> None:
    """As the planner does: never beyond a boundary at once."""
    sequence = computer.attach(ids)
    assert sequence is not None
    batch = computer.decoder.batch
    while sequence.n_left:
        n = sequence.until_stop()
        batch.clear()
        tokens = sequence.row.ids[sequence.n_past : sequence.n_past + n]
        batch.add_chunk(tokens, position=sequence.position, sequence=sequence.id, output=False)
        computer.decoder.decode()
        computer.cache.advance(sequence, n)
    computer.cache.park(sequence)


def test_room_that_can_not_be_made_costs_nobody_a_place() -> None:
    computer = _Computer(FakeDecoder(n_cells=50))
    computer.park([1] * 20)
    computer.compute([2] * 20)
    assert not computer.cache.make_room(31)
    assert len(computer.cache.parked) == 1
    assert computer.cache.make_room(30)
    assert computer.cache.parked == ()
