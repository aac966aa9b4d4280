"""Whatever requests come and go, in whatever order, and whatever goes wrong: right answers, no lost cells, an end for each."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from PIL import Image

from app.domain.errors import AppError, EngineBusy
from app.domain.generation import FinishReason, SamplingParams
from app.domain.prompt import Picture, PromptSegment, ReasoningLimit, TokenIds
from app.engine.decoder import DecodeResult, MemoryKind, PictureTokens
from app.engine.drafts import Drafter, NgramDrafter
from app.engine.generation import Generation, PreparedGeneration
from app.engine.pictures import RgbPicture
from app.engine.protocol import Done, GenerateJob, JobEvent, JobFailed, PromptProgress, Tokens
from app.engine.scheduler import Scheduler
from app.engine.tokens import TokenizedPrompt
from tests.engine.fake_decoder import FakeDecoder, picture_token
from tests.engine.fakes import END, TOOL, FakeProjector, fake_engine

EFFORT = int(os.environ.get("HEARTH_SOAK", "1"))
QUICK = settings(
    deadline=None,
    derandomize=EFFORT == 1,
    database=None,
    max_examples=100 * EFFORT,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
LIMIT = 150
# Beginnings long and short, so that prompts depart from each other everywhere.
_TRUNKS = (
    (TOOL, *range(40, 110), TOOL),
    (TOOL, *range(40, 110), TOOL, 1, 2, 3, TOOL),
    tuple(range(120, 200)),
    (*range(120, 190), 7, 7, 7, 8, 7, 7, 7, 8, 7, 7, 7),
    (5,),
)
_OWNERS = (None, None, "anna", "ben")
CLOSING = "\n)\n"


def answer(tokens: Sequence[int]) -> int:
    """A letter or the end, which depend on every token before."""
    value = 7
    for token in tokens:
        value = (value * 31 + token) % 1_000_003
    return END if value % 29 == 0 else ord("a") + value % 5


def solo(tokens: Sequence[int], max_tokens: int, budget: int | None) -> tuple[list[int], FinishReason]:
    """What is written when nothing else happens; after `budget` tokens CLOSING is put in."""
    row, written = list(tokens), list[int]()
    while True:
        closed = len(written) == budget
        wanted = [*CLOSING.encode()] if closed else [answer(row)]
        budget = None if closed else budget
        for token in wanted:
            if token == END:
                return written, FinishReason.STOP
            row.append(token)
            written.append(token)
            if len(written) == max_tokens or len(row) >= LIMIT:
                return written, FinishReason.LENGTH


class GridProjector(FakeProjector):
    """Its pictures move the position by less than the tokens they have."""

    def tokenize(self, picture: RgbPicture) -> tuple[tuple[int, ...] | PictureTokens, ...]:
        tokens = PictureTokens(picture.digest, picture.height, max(1, picture.height // 3), None)
        return ((TOOL,), tokens, (TOOL,))


@lru_cache
def picture(height: int) -> Picture:
    file = io.BytesIO()
    Image.new("RGB", (8, height)).save(file, "PNG")
    return Picture(file.getvalue())


class Oracle:
    """Knows the fake model's answers; every `wrong`-th guess has a wrong token in it."""

    token_s = 0.0

    def __init__(self, wrong: int) -> None:
        self._wrong = wrong
        self._asked = 0
        self.known: set[str] = set()

    def propose(self, generation: Generation, n: int) -> tuple[int, ...]:
        self.known.add(generation.id)
        self._asked += 1
        row = seen(generation.prompt, generation.row.ids.tolist())
        guess: list[int] = []
        for _ in range(n):
            guess.append(answer([*row, *guess]))
        if self._asked % self._wrong == 0:
            guess[self._asked % n] = 3
        return tuple(guess)

    def release(self, generation: Generation) -> None:
        self.known.discard(generation.id)


def seen(prompt: TokenizedPrompt, ids: Sequence[int]) -> list[int]:
    """A row of ids as the fake model sees it."""
    tokens = list(ids)
    for placed in prompt.pictures:
        for i in range(min(placed.tokens.n_tokens, len(tokens) - placed.start)):
            tokens[placed.start + i] = picture_token(placed.tokens, i)
    return tokens


@dataclass
class _Expected:
    job: GenerateJob
    prompt: list[int]
    written: list[int]
    reason: FinishReason
    got: list[int] = field(default_factory=list)
    finished_early: bool = False


class _Clock:
    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 0.001
        return self._now


class SchedulerMachine(RuleBasedStateMachine):
    """Drives a scheduler on a strict decoder and knows what each answer must be."""

    memory: MemoryKind

    @initialize(
        n_cells=st.sampled_from([LIMIT, 200, 400, 1000]),
        n_parallel=st.sampled_from([1, 2, 4]),
        spare=st.sampled_from([2, 4]),
        n_batch=st.sampled_from([8, 40, 512]),
        saved_bytes=st.sampled_from([0, 700, 2500, 100_000]),
        wrong=st.sampled_from([-1, 0, 1, 2, 7, 1000]),
        n_window=st.sampled_from([4, 30]),
        n_kept=st.sampled_from([0, 3, 60]),
        tight=st.booleans(),
        grid=st.booleans(),
    )
    def begin(
        self,
        n_cells: int,
        n_parallel: int,
        spare: int,
        n_batch: int,
        saved_bytes: int,
        wrong: int,
        n_window: int,
        n_kept: int,
        tight: bool,
        grid: bool,
    ) -> None:
        n_ubatch = 16
        self.decoder = FakeDecoder(
            answer=answer,
            n_cells=n_cells,
            n_sequences=n_parallel + spare,
            n_batch=max(n_batch, n_parallel + 1),
            memory=self.memory,
            n_window=n_window if self.memory is MemoryKind.WINDOWED else 0,
            n_kept=n_kept,
            # One sequence with two pictures and a batch always fit.
            n_window_cells=n_window + 24 + n_ubatch if tight else None,
            n_ubatch=n_ubatch,
        )
        self.oracle = Oracle(wrong) if wrong > 0 else None
        drafter: Drafter | None = self.oracle or (NgramDrafter() if wrong == 0 else None)
        self.engine = fake_engine(
            self.decoder,
            projector=GridProjector() if grid else FakeProjector(),
            n_parallel=n_parallel,
            limit=LIMIT,
            saved_bytes=saved_bytes,
            drafter=drafter,
            clock=_Clock(),
        )
        scheduler = self.engine._scheduler
        assert isinstance(scheduler, Scheduler)
        self.scheduler = scheduler
        self.saved_bytes = saved_bytes
        self.running: dict[str, _Expected] = {}
        self.n_jobs = 0
        # After these some requests may fail.
        self.harmed = False
        self.past: list[tuple[int, ...]] = []

    # ------------------------------------------------------------------------------------------------------------ rules
    @rule(
        trunk=st.sampled_from(_TRUNKS),
        tail=st.lists(st.integers(1, 6), min_size=1, max_size=12),
        heights=st.lists(st.sampled_from([4, 9, 12]), max_size=2),
        n=st.sampled_from([1, 1, 1, 3]),
        max_tokens=st.sampled_from([1, 2, 10, 40, 1000]),
        owner=st.sampled_from(_OWNERS),
        preferred=st.booleans(),
        logprobs=st.booleans(),
        budget=st.sampled_from([None, None, 0, 1, 7]),
    )
    def submit(
        self,
        trunk: tuple[int, ...],
        tail: list[int],
        heights: list[int],
        n: int,
        max_tokens: int,
        owner: str | None,
        preferred: bool,
        logprobs: bool,
        budget: int | None,
    ) -> None:
        pictures: list[PromptSegment] = []
        for height in heights:
            pictures += [picture(height), TokenIds((9,))]
        self._ask((TokenIds(trunk), *pictures, TokenIds(tuple(tail))), n, max_tokens, owner, preferred, logprobs, budget)

    @precondition(lambda self: self.past)
    @rule(pick=st.integers(0, 100), cut=st.integers(0, 3), tail=st.lists(st.integers(1, 6), min_size=1, max_size=8))
    def follow_up(self, pick: int, cut: int, tail: list[int]) -> None:
        """A conversation that goes on, or departs from what it was shortly before its end."""
        before = self.past[pick % len(self.past)]
        self._ask((TokenIds((*before[: len(before) - cut], *tail)),), 1, 10, _OWNERS[pick % len(_OWNERS)], False, False, None)

    def _ask(
        self,
        prompt: tuple[PromptSegment, ...],
        n: int,
        max_tokens: int,
        owner: str | None,
        preferred: bool,
        logprobs: bool,
        budget: int | None,
    ) -> None:
        reasoning = ReasoningLimit(budget, "(", ")", CLOSING, begun=True) if budget is not None else None
        for _ in range(n):
            self.n_jobs += 1
            greedy = SamplingParams(temperature=0)
            job = GenerateJob(f"j{self.n_jobs}", prompt, greedy, max_tokens, owner=owner, preferred=preferred)
            job = replace(job, top_logprobs=1 if logprobs else None, reasoning_limit=reasoning)
            try:
                prepared = self.engine.prepare(job)
            except AppError:
                return
            assert isinstance(prepared, PreparedGeneration)
            try:
                self.engine.submit(prepared)
            except EngineBusy:
                return
            tokens = seen(prepared.prompt, prepared.prompt.ids.tolist())
            self.running[job.id] = _Expected(job, tokens, *solo(tokens, max_tokens, budget))

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 100))
    def cancel(self, pick: int) -> None:
        id = sorted(self.running)[pick % len(self.running)]
        self.engine.cancel(id)
        del self.running[id]

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 100))
    def finish(self, pick: int) -> None:
        id = sorted(self.running)[pick % len(self.running)]
        self.engine.finish(id)
        self.running[id].finished_early = True

    @rule(owner=st.sampled_from(["anna", "ben"]))
    def forget(self, owner: str) -> None:
        self.engine.forget(owner)
        assert not any(state.owner == owner for state in self.scheduler.cache.owned())
        for generation in (*self.scheduler._waiting, *self.scheduler._active):
            assert generation.owner != owner
            assert generation.copy is None or generation.copy.owner != owner

    @rule(n=st.integers(1, 12))
    def step(self, n: int) -> None:
        for _ in range(n):
            self._step()

    @precondition(lambda self: self.running)
    @rule(
        result=st.sampled_from([DecodeResult.NO_SPACE, DecodeResult.ABORTED, DecodeResult.INVALID, DecodeResult.FAILED]),
        n_computed=st.integers(0, 20),
    )
    def something_goes_wrong(self, result: DecodeResult, n_computed: int) -> None:
        self.decoder.results = [result]
        self.decoder.computed_before_abort = n_computed
        self.harmed |= result is not DecodeResult.ABORTED

    @rule(result=st.sampled_from([DecodeResult.ABORTED, DecodeResult.NO_SPACE, DecodeResult.FAILED]))
    def a_picture_goes_wrong(self, result: DecodeResult) -> None:
        self.decoder.picture_results = [result]
        self.harmed |= result is not DecodeResult.ABORTED

    @rule(save=st.booleans(), restore=st.booleans())
    def refuse(self, save: bool, restore: bool) -> None:
        self.decoder.refuse_save, self.decoder.refuse_restore = save, restore

    # ----------------------------------------------------------------------------------------------------------- checks
    @invariant()
    def every_cell_is_accounted_for(self) -> None:
        cache, decoder = self.scheduler.cache, self.decoder
        assert cache.free_cells == decoder.n_cells - decoder.used_cells
        assert decoder.overfilled == 0
        resident = [*cache._active, *cache._parked]
        numbers = [*cache._free, *(sequence.id for sequence in resident)]
        assert sorted(numbers) == list(range(decoder.n_sequences))
        for sequence in resident:
            assert cache._cells.length(sequence.id) == sequence.n_past
            expected = seen(sequence.prompt, sequence.row.ids.tolist())[: sequence.n_past]
            assert decoder.tokens(sequence.id) == expected
        assert not any(decoder.tokens(number) for number in cache._free)

    @invariant()
    def every_place_is_accounted_for(self) -> None:
        active, waiting = self.scheduler._active, list(self.scheduler._waiting)
        assert sorted(one.sequence.id for one in active if one.sequence is not None) == sorted(
            sequence.id for sequence in self.scheduler.cache._active
        )
        assert all(one.sequence is None for one in waiting)
        assert all(one.copy is None for one in active)
        assert sorted(one.id for one in (*active, *waiting)) == sorted(self.running)
        if self.oracle is not None:
            assert self.oracle.known <= {one.id for one in active}

    @invariant()
    def copies_on_the_host_stay_within_their_budget(self) -> None:
        saved = self.scheduler.cache.saved
        assert saved.used_bytes == sum(item.size_bytes for item in (*saved.sequences, *saved.checkpoints))
        assert saved.used_bytes <= self.saved_bytes

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.decoder.results, self.decoder.picture_results = [], []
        work = sum(len(one.prompt) + len(one.written) + 2 for one in self.running.values())
        idle = 0
        for _ in range(20 + 3 * work):
            if not self.engine.busy:
                break
            before = self._progress()
            self._step()
            self.every_cell_is_accounted_for()
            self.every_place_is_accounted_for()
            idle = idle + 1 if self._progress() == before else 0
            assert idle < 5, "nothing goes on"
        assert not self.engine.busy, "somebody starves"
        assert not self.running
        assert not self.scheduler.cache._active
        self.copies_on_the_host_stay_within_their_budget()
        assert self.decoder.used_cells == len({cell for one in self.scheduler.cache.parked for cell in self._cells(one.id)})
        self.scheduler.cache.clear()
        assert self.decoder.used_cells == 0
        assert self.scheduler.cache.free_cells == self.decoder.n_cells

    # ---------------------------------------------------------------------------------------------------------- helpers
    def _step(self) -> None:
        if not self.engine.busy:
            return
        for event in self.scheduler.step():
            self._take(event)

    def _take(self, event: JobEvent) -> None:
        expected = self.running[event.id]
        match event:
            case Tokens():
                expected.got += [piece.token_id for piece in event.pieces]
                assert expected.got == expected.written[: len(expected.got)]
            case PromptProgress():
                assert 0 <= event.done <= event.total == len(expected.prompt)
                # What is put in at once follows a prompt that may have been computed to its end.
                assert 0 <= event.reused < event.total + (expected.job.reasoning_limit is not None)
            case Done():
                del self.running[event.id]
                assert event.usage.completion_tokens == len(expected.got)
                if not expected.finished_early:
                    assert (expected.got, event.reason) == (expected.written, expected.reason)
                    self.past.append((*expected.prompt, *expected.got)) if self._is_text(expected) else None
            case JobFailed():
                assert self.harmed, event.error
                assert "continued" not in str(event.error)
                del self.running[event.id]
            case _:
                raise AssertionError(event)

    @staticmethod
    def _is_text(expected: _Expected) -> bool:
        return all(isinstance(segment, TokenIds) for segment in expected.job.prompt)

    def _progress(self) -> tuple[object, ...]:
        return len(self.decoder.batches), len(self.running)

    def _cells(self, sequence: int) -> list[Any]:
        return list(self.decoder._of(sequence).cells)


class PlainMachine(SchedulerMachine):
    memory = MemoryKind.PLAIN


class WindowedMachine(SchedulerMachine):
    memory = MemoryKind.WINDOWED


class RecurrentMachine(SchedulerMachine):
    memory = MemoryKind.RECURRENT


for _machine in (PlainMachine, WindowedMachine, RecurrentMachine):
    _machine.TestCase.settings = QUICK

TestPlain = PlainMachine.TestCase
TestWindowed = WindowedMachine.TestCase
TestRecurrent = RecurrentMachine.TestCase


class Walk:
    """One long random walk. Hypothesis looks for short failures; some need many requests in a small memory."""

    def __init__(self, machine: SchedulerMachine, seed: int) -> None:
        self._machine = machine
        self._random = random.Random(seed)
        self._faults = self._random.random() < 0.5

    def run(self) -> None:
        choose, machine = self._random.choice, self._machine
        machine.begin(
            n_cells=choose([LIMIT, 200, 400, 1000]),
            n_parallel=choose([1, 2, 4]),
            spare=choose([2, 4]),
            n_batch=choose([8, 40, 512]),
            saved_bytes=choose([0, 700, 2500, 100_000]),
            wrong=choose([-1, 0, 1, 2, 7, 1000]),
            n_window=choose([4, 30]),
            n_kept=choose([0, 3, 60]),
            tight=choose([False, True]),
            grid=choose([False, True]),
        )
        for _ in range(self._random.randrange(3, 60)):
            self._act(self._random.random())
            machine.every_cell_is_accounted_for()
            machine.every_place_is_accounted_for()
            machine.copies_on_the_host_stay_within_their_budget()
        machine.teardown()

    def _act(self, x: float) -> None:
        machine, choose, number = self._machine, self._random.choice, self._random.randrange
        if x < 0.3:
            machine.submit(
                trunk=choose(_TRUNKS),
                tail=self._tail(12),
                heights=[choose([4, 9, 12]) for _ in range(choose([0, 0, 1, 2]))],
                n=choose([1, 1, 1, 3]),
                max_tokens=choose([1, 2, 10, 40, 1000]),
                owner=choose(_OWNERS),
                preferred=choose([False, False, True]),
                logprobs=choose([False, False, True]),
                budget=choose([None, None, 0, 1, 7]),
            )
        elif x < 0.4 and machine.past:
            machine.follow_up(number(100), number(4), self._tail(8))
        elif x < 0.47 and machine.running:
            machine.cancel(number(100))
        elif x < 0.51 and machine.running:
            machine.finish(number(100))
        elif x < 0.54:
            machine.forget(choose(["anna", "ben"]))
        elif x < 0.6 and self._faults:
            kinds = [DecodeResult.NO_SPACE, DecodeResult.ABORTED, DecodeResult.INVALID, DecodeResult.FAILED]
            machine.something_goes_wrong(choose(kinds), number(20))
        elif x < 0.62 and self._faults:
            machine.a_picture_goes_wrong(choose([DecodeResult.ABORTED, DecodeResult.NO_SPACE, DecodeResult.FAILED]))
        elif x < 0.64 and self._faults:
            machine.refuse(choose([False, True]), choose([False, True]))
        else:
            machine.step(number(1, 12))

    def _tail(self, most: int) -> list[int]:
        return [self._random.randint(1, 6) for _ in range(self._random.randint(1, most))]


@pytest.mark.parametrize("machine", [PlainMachine, WindowedMachine, RecurrentMachine])
def test_long_walks(machine: type[SchedulerMachine]) -> None:
    for seed in range(150 * EFFORT):
        try:
            Walk(machine(), seed).run()
        except Exception as error:
            raise AssertionError(f"The walk with seed {seed} failed") from error
