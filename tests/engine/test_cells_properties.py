"""The account of cells against a count of every single one, and prefixes handed out by the cache against a strict memory."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.engine.cells import CellLedger
from app.engine.decoder import MemoryKind
from app.engine.prompt_cache import PromptCache
from app.engine.saved import SavedSequence, SavedStates
from app.engine.sequences import Sequence
from app.engine.tokens import TokenizedPrompt, TokenRow
from tests.engine.fake_decoder import FakeDecoder

EFFORT = int(os.environ.get("HEARTH_SOAK", "1"))
QUICK = settings(deadline=None, derandomize=EFFORT == 1, database=None, max_examples=100 * EFFORT, stateful_step_count=40)
_NUMBERS = st.integers(0, 5)
# Two beginnings with turns, and many ends.
_TRUNKS = ((1000, *range(70), 1001, 1, 2), (1000, *range(70), 1001, *range(200, 270), 1002), tuple(range(300, 380)), ())


class LedgerMachine(RuleBasedStateMachine):
    """The same operations on the ledger and on lists of objects, one for each cell."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = CellLedger(10_000)
        self.cells: dict[int, list[object]] = {number: [] for number in range(6)}

    @rule(sequence=_NUMBERS, n=st.integers(0, 20))
    def grow(self, sequence: int, n: int) -> None:
        self.ledger.grow(sequence, n)
        self.cells[sequence] += [object() for _ in range(n)]

    @rule(sequence=_NUMBERS, keep=st.integers(0, 50))
    def cut(self, sequence: int, keep: int) -> None:
        self.ledger.cut(sequence, keep)
        del self.cells[sequence][keep:]

    @rule(sequence=_NUMBERS)
    def drop(self, sequence: int) -> None:
        self.ledger.drop(sequence)
        self.cells[sequence] = []

    @rule(source=_NUMBERS, other=_NUMBERS, n=st.integers(0, 50))
    def share(self, source: int, other: int, n: int) -> None:
        if source != other and not self.cells[other]:
            n = min(n, len(self.cells[source]))
            self.ledger.share(source, other, n)
            self.cells[other] = self.cells[source][:n]

    @rule()
    def clear(self) -> None:
        self.ledger.clear()
        self.cells = {number: [] for number in range(6)}

    @invariant()
    def both_counts_agree(self) -> None:
        assert self.ledger.used == len({cell for cells in self.cells.values() for cell in cells})
        assert self.ledger.free == 10_000 - self.ledger.used
        assert all(self.ledger.length(number) == len(cells) for number, cells in self.cells.items())


class CacheMachine(RuleBasedStateMachine):
    """Sequences that are begun, computed bit by bit, cut, parked, suspended and dropped in any order."""

    memory: MemoryKind

    @initialize(
        n_cells=st.sampled_from([200, 500]),
        n_sequences=st.sampled_from([3, 5]),
        saved_bytes=st.sampled_from([0, 1500, 5000, 100_000]),
        n_kept=st.sampled_from([0, 5, 200]),
    )
    def begin(self, n_cells: int, n_sequences: int, saved_bytes: int, n_kept: int) -> None:
        n_window = 12 if self.memory is MemoryKind.WINDOWED else 0
        self.decoder = FakeDecoder(
            n_cells=n_cells, n_sequences=n_sequences, memory=self.memory, n_window=n_window, n_kept=n_kept
        )
        self.cache = PromptCache(self.decoder, SavedStates(saved_bytes), is_control=lambda token: token >= 1000)
        self.running: list[Sequence] = []
        self.suspended: list[tuple[SavedSequence, Sequence]] = []

    @rule(
        trunk=st.sampled_from(_TRUNKS),
        tail=st.lists(st.integers(1, 3), min_size=1, max_size=30),
        reserve=st.sampled_from([0, 0, 50]),
    )
    def attach(self, trunk: tuple[int, ...], tail: list[int], reserve: int) -> None:
        # One is always left for a prompt, as the loader sees to it.
        if len(self.running) >= self.decoder.n_sequences - 1:
            return
        ids = np.array([*trunk, *tail], np.int32)
        prompt, row = TokenizedPrompt(ids), TokenRow(ids)
        free, parked = self.cache.free_cells, self.cache.parked
        sequence = self.cache.attach(row, prompt, reserve=reserve)
        if sequence is None:
            assert free < len(ids) + reserve or not parked
            return
        assert 0 <= sequence.n_past < len(ids)
        assert self.cache.free_cells >= 0
        self.running.append(sequence)

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 9), most=st.integers(1, 60))
    def compute(self, pick: int, most: int) -> None:
        sequence = self.running[pick % len(self.running)]
        n = min(most, sequence.until_stop())
        if n <= 0 or not self.cache.make_room(n):
            return
        batch = self.decoder.batch
        batch.clear()
        tokens = sequence.row.ids[sequence.n_past : sequence.n_past + n]
        batch.add_chunk(tokens, position=sequence.position, sequence=sequence.id, output=False)
        assert self.decoder.decode().name == "OK"
        self.cache.advance(sequence, n)

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 9), off=st.integers(0, 20))
    def cut(self, pick: int, off: int) -> None:
        sequence = self.running[pick % len(self.running)]
        length = max(0, sequence.n_past - off)
        if self.cache.cut(sequence, length):
            assert sequence.n_past == length

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 9), keep=st.booleans())
    def end(self, pick: int, keep: bool) -> None:
        sequence = self.running.pop(pick % len(self.running))
        (self.cache.park if keep else self.cache.drop)(sequence)

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 9))
    def suspend(self, pick: int) -> None:
        sequence = self.running.pop(pick % len(self.running))
        copy = self.cache.suspend(sequence)
        if copy is not None:
            self.suspended.append((copy, sequence))

    @precondition(lambda self: self.suspended and len(self.running) < self.decoder.n_sequences - 1)
    @rule(pick=st.integers(0, 9))
    def resume(self, pick: int) -> None:
        copy, old = self.suspended[pick % len(self.suspended)]
        sequence = self.cache.resume(copy, old.row, old.prompt, reserve=0, owner=None)
        if sequence is not None:
            self.suspended.remove((copy, old))
            assert sequence.n_past == len(copy.ids)
            self.running.append(sequence)

    @invariant()
    def memory_is_what_the_cache_believes(self) -> None:
        cache, decoder = self.cache, self.decoder
        assert cache.free_cells == decoder.n_cells - decoder.used_cells
        resident = [*self.running, *cache.parked]
        numbers = [*cache._free, *(sequence.id for sequence in resident)]
        assert sorted(numbers) == list(range(decoder.n_sequences))
        for sequence in resident:
            assert decoder.tokens(sequence.id) == sequence.row.ids[: sequence.n_past].tolist()
        saved = cache.saved
        assert saved.used_bytes == sum(item.size_bytes for item in (*saved.sequences, *saved.checkpoints))

    def teardown(self) -> None:
        if not hasattr(self, "cache"):
            return
        for sequence in self.running:
            self.cache.park(sequence)
        assert self.cache.make_room(self.decoder.n_cells)
        assert self.decoder.used_cells == 0


class PlainCacheMachine(CacheMachine):
    memory = MemoryKind.PLAIN


class WindowedCacheMachine(CacheMachine):
    memory = MemoryKind.WINDOWED


class RecurrentCacheMachine(CacheMachine):
    memory = MemoryKind.RECURRENT


for _machine in (LedgerMachine, PlainCacheMachine, WindowedCacheMachine, RecurrentCacheMachine):
    _machine.TestCase.settings = QUICK

TestLedger = LedgerMachine.TestCase
TestPlainCache = PlainCacheMachine.TestCase
TestWindowedCache = WindowedCacheMachine.TestCase
TestRecurrentCache = RecurrentCacheMachine.TestCase
