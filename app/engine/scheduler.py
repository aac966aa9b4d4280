"""Which tokens are computed next: all requests together, one batch per step."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from app.domain.errors import AppError, EngineBusy, GenerationFailed
from app.engine.decoder import Decoder, DecodeResult, MemoryKind, Vocabulary
from app.engine.generation import Generation, PreparedGeneration
from app.engine.prompt_cache import PromptCache, Sequence
from app.engine.protocol import JobEvent, JobFailed, PromptProgress, Tokens
from app.engine.tokens import PlacedPicture

__all__ = ["Scheduler"]

_MAX_WAITING = 64
# Up to this many tokens count as writing (a token, and those a grammar forces), which goes before reading prompts.
_MAX_WRITTEN = 32
_MIN_CHUNK = 32
# How long reading prompts may hold up a step, with and without an answer being written beside it.
_SHARED_STEP_S = 0.15
_LONE_STEP_S = 1.0
_PICTURE_FAILED = "The picture could not be read by the model's projector."


@dataclass(frozen=True, slots=True)
class _Planned:
    """`n_tokens` of a generation in this step's batch; `row` is the number of its row of logits, -1 if it has none."""

    generation: Generation
    sequence: Sequence
    n_tokens: int
    row: int


class Scheduler:
    """Decides, decodes, and samples. Engine thread only.

    Nothing is reserved for answers to come: when cells run out, parked sequences go, then the youngest request is put back in
    the queue and computed again later.
    """

    def __init__(
        self, decoder: Decoder, vocabulary: Vocabulary, *, n_parallel: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._n_parallel = n_parallel
        self._clock = clock
        self._cache = PromptCache(decoder)
        self._waiting: deque[Generation] = deque()
        self._active: list[Generation] = []
        self._events: list[JobEvent] = []
        self._tokens_per_s = 0.0
        self._turn = 0
        self._computing: tuple[str, ...] = ()

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._active)

    @property
    def cache(self) -> PromptCache:
        return self._cache

    def submit(self, prepared: PreparedGeneration) -> None:
        """Raises EngineBusy."""
        if len(self._waiting) >= _MAX_WAITING:
            raise EngineBusy
        self._waiting.append(Generation(prepared, self._decoder, self._vocabulary, clock=self._clock))

    def cancel(self, job: str) -> None:
        """Forget a job, without an event; what it computed stays for the next prompt. Unknown ids are ignored."""
        for generation in (*self._waiting, *self._active):
            if generation.id == job:
                self._retire(generation)

    def finish(self, job: str) -> None:
        """End a job's answer where it is; its Done comes with the next step. Unknown ids are ignored."""
        for generation in (*self._waiting, *self._active):
            if generation.id == job:
                generation.stop()

    def interrupt(self, job: str) -> None:
        """Cut short the computation that runs, if it is for this job alone. Any thread; `cancel` still has to follow."""
        if self._computing == (job,):
            self._decoder.interrupt()

    def step(self) -> list[JobEvent]:
        """Compute one batch and return what came of it."""
        self._events = []
        for generation in [g for g in (*self._active, *self._waiting) if g.finished is not None]:
            self._finish(generation)
        self._admit()
        plan, picture = self._plan()
        if plan and self._decode(plan):
            self._sample(plan)
        if picture is not None and picture[0] in self._active:
            self._decode_picture(*picture)
        return self._events

    def fail_all(self, error: AppError) -> list[JobEvent]:
        """Give up on everything, after a failure nobody in particular caused; what had happened before it is told too."""
        failed = (*self._active, *self._waiting)
        for generation in failed:
            generation.close()
        self._active.clear()
        self._waiting.clear()
        self._cache.clear()
        events, self._events = self._events, []
        return [*events, *(JobFailed(generation.id, error) for generation in failed)]

    def close(self) -> None:
        for generation in (*self._active, *self._waiting):
            generation.close()
        self._active.clear()
        self._waiting.clear()

    # ------------------------------------------------------------------------------------------------------ admission
    def _admit(self) -> None:
        for generation in tuple(self._waiting):
            if len(self._active) >= self._n_parallel:
                return
            if self._cache.worth_waiting(generation.row, generation.prompt):
                continue
            # Prompts that are still being read need the cells they were admitted with.
            reserve = sum(map(self._needs, self._active))
            sequence = self._cache.attach(generation.row, generation.prompt, reserve=reserve)
            if sequence is None:
                return
            self._waiting.remove(generation)
            generation.start(sequence)
            self._active.append(generation)
            if generation.reading:
                self._report(generation)

    # ------------------------------------------------------------------------------------------------------- planning
    def _plan(self) -> tuple[list[_Planned], tuple[Generation, Sequence, PlacedPicture] | None]:
        """Fill the batch: answers first, then prompts; and name a picture to decode after it."""
        self._decoder.batch.clear()
        self._relieve()
        plan: list[_Planned] = []
        readers: list[tuple[Generation, Sequence]] = []
        for generation in self._active:
            sequence = generation.sequence
            assert sequence is not None
            if self._is_writing(generation, sequence) and sequence.n_left <= self._decoder.batch.room:
                plan.append(self._add(generation, sequence, sequence.n_left))
            else:
                readers.append((generation, sequence))
        return plan, self._plan_reading(readers, plan)

    def _is_writing(self, generation: Generation, sequence: Sequence) -> bool:
        return not generation.reading and sequence.n_left <= _MAX_WRITTEN and not sequence.has_pictures_ahead

    def _plan_reading(
        self, readers: list[tuple[Generation, Sequence]], plan: list[_Planned]
    ) -> tuple[Generation, Sequence, PlacedPicture] | None:
        picture = None
        budget = self._budget(alone=not plan)
        self._turn += 1
        for i in range(len(readers)):
            generation, sequence = readers[(self._turn + i) % len(readers)]
            placed = sequence.prompt.picture_at(sequence.n_past)
            if placed is not None:
                picture = picture or (generation, sequence, placed)
                continue
            n = min(budget, sequence.n_left, sequence.prompt.next_picture(sequence.n_past) - sequence.n_past)
            if n > 0:
                plan.append(self._add(generation, sequence, n))
                budget -= n
        return picture

    def _add(self, generation: Generation, sequence: Sequence, n: int) -> _Planned:
        start, batch = sequence.n_past, self._decoder.batch
        if n == 1 == sequence.n_left:
            row = batch.add(int(sequence.row.ids[start]), position=sequence.position, sequence=sequence.id)
        else:
            ids = sequence.row.ids[start : start + n]
            row = batch.add_chunk(ids, position=sequence.position, sequence=sequence.id, output=n == sequence.n_left)
        return _Planned(generation, sequence, n, row)

    def _budget(self, *, alone: bool) -> int:
        """How many prompt tokens this step may read, so that answers keep their pace and a cancelled prompt ends soon."""
        batch = self._decoder.batch
        free = self._cache.free_cells - batch.n_tokens
        wanted = int(self._tokens_per_s * (_LONE_STEP_S if alone else _SHARED_STEP_S))
        start = 512 if alone else _MIN_CHUNK
        chunk = max(_MIN_CHUNK, wanted) if self._tokens_per_s else start
        return max(0, min(batch.room, chunk, free))

    def _relieve(self) -> None:
        """Make sure that every answer can go on by a step, and that some prompt can be read."""
        while self._active:
            needed = sum(self._needs(generation) for generation in self._active)
            if self._cache.make_room(needed) or len(self._active) == 1:
                return
            self._preempt(self._active[-1])

    def _needs(self, generation: Generation) -> int:
        assert generation.sequence is not None
        return generation.sequence.n_left

    # ------------------------------------------------------------------------------------------------------- decoding
    def _decode(self, plan: list[_Planned]) -> bool:
        """Whether the batch was computed. What happens otherwise is decided by llama.cpp's answer."""
        started = self._clock()
        self._computing = tuple(item.generation.id for item in plan)
        result = self._decoder.decode()
        self._computing = ()
        match result:
            case DecodeResult.OK:
                self._measure(plan, self._clock() - started)
                for item in plan:
                    self._cache.advance(item.sequence, item.n_tokens)
                return True
            case DecodeResult.NO_SPACE:
                self._make_space(plan)
            case DecodeResult.ABORTED:
                for item in plan:
                    self._resume(item)
            case DecodeResult.INVALID:
                self._fail_plan(plan)
            case DecodeResult.FAILED:
                self._fail_plan(plan)
                self._start_over()
        return False

    def _sample(self, plan: list[_Planned]) -> None:
        rows = self._decoder.logits() if self._decoder.batch.n_outputs else None
        for item in plan:
            generation = item.generation
            was_reading = generation.reading
            if item.row >= 0 and rows is not None:
                try:
                    generation.advance(rows[item.row])
                except AppError as error:
                    self._fail(generation, error)
                    continue
                except Exception as error:  # noqa: BLE001 -- a request's fault must not stop the others
                    self._fail(generation, GenerationFailed(f"The answer could not be continued: {error}"))
                    continue
            if was_reading:
                self._report(generation)
            self._emit(generation)
            if generation.finished is not None:
                self._finish(generation)

    def _decode_picture(self, generation: Generation, sequence: Sequence, placed: PlacedPicture) -> None:
        result = self._decoder.decode_picture(placed.tokens, sequence=sequence.id, position=sequence.position)
        match result:
            case DecodeResult.OK:
                self._cache.advance(sequence, placed.tokens.n_tokens)
                self._report(generation)
            case DecodeResult.ABORTED:
                # An interruption that was meant for the computation before; part of the picture may be there.
                self._preempt(generation)
            case _:
                self._fail(generation, GenerationFailed(_PICTURE_FAILED), keep=False)

    def _measure(self, plan: list[_Planned], seconds: float) -> None:
        """Learn how fast prompts are read, from steps that did little else."""
        n_read = sum(item.n_tokens for item in plan if item.generation.reading)
        n_all = sum(item.n_tokens for item in plan)
        if n_read >= _MIN_CHUNK and 2 * n_read >= n_all and seconds > 0:
            rate = n_all / seconds
            self._tokens_per_s = rate if not self._tokens_per_s else 0.7 * self._tokens_per_s + 0.3 * rate

    # --------------------------------------------------------------------------------------------------------- trouble
    def _make_space(self, plan: list[_Planned]) -> None:
        """llama.cpp found no cells although the count said there are some."""
        if self._cache.parked:
            self._cache.make_room(self._decoder.n_cells)
        elif len(self._active) > 1:
            self._preempt(self._active[-1])
        else:
            self._fail_plan(plan)

    def _resume(self, item: _Planned) -> None:
        """Find out how far an aborted batch came."""
        if self._decoder.memory is MemoryKind.RECURRENT:
            # Some layers' state may have moved on and others' not.
            self._preempt(item.generation)
            return
        reached = self._decoder.next_position(item.sequence.id) - item.sequence.position
        self._cache.advance(item.sequence, max(0, min(reached, item.n_tokens)))
        # The logits of the last token are lost: it has to be computed again.
        if item.sequence.n_left == 0 and not self._cache.step_back(item.sequence):
            self._preempt(item.generation)

    def _preempt(self, generation: Generation) -> None:
        """Put a running request back to the head of the queue; it will be computed again, with what it has written."""
        assert generation.sequence is not None
        self._active.remove(generation)
        self._cache.drop(generation.sequence)
        generation.sequence = None
        self._waiting.appendleft(generation)

    def _start_over(self) -> None:
        """After a failure that may have spoilt the whole memory."""
        for generation in reversed(self._active.copy()):
            self._preempt(generation)
        self._cache.clear()

    def _fail_plan(self, plan: list[_Planned]) -> None:
        for item in plan:
            self._fail(item.generation, GenerationFailed("llama.cpp could not compute this request."), keep=False)

    def _fail(self, generation: Generation, error: AppError, *, keep: bool = True) -> None:
        self._events.append(JobFailed(generation.id, error))
        self._retire(generation, keep=keep)

    # ---------------------------------------------------------------------------------------------------------- ending
    def _report(self, generation: Generation) -> None:
        done = generation.n_prompt if generation.sequence is None else min(generation.sequence.n_past, generation.n_prompt)
        self._events.append(PromptProgress(generation.id, done, generation.n_prompt, generation.cached_tokens))

    def _emit(self, generation: Generation) -> None:
        if pieces := generation.take_pieces():
            self._events.append(Tokens(generation.id, pieces))

    def _finish(self, generation: Generation) -> None:
        self._emit(generation)
        self._events.append(generation.done())
        self._retire(generation)

    def _retire(self, generation: Generation, *, keep: bool = True) -> None:
        generation.close()
        if generation in self._waiting:
            self._waiting.remove(generation)
        if generation in self._active:
            self._active.remove(generation)
        if generation.sequence is not None:
            (self._cache.park if keep else self._cache.drop)(generation.sequence)
            generation.sequence = None
