"""Which tokens are computed next: all requests together, one batch per step."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.domain.errors import AppError, GenerationFailed
from app.domain.stats import EngineStats
from app.engine.decoder import Decoder, DecodeResult, FloatArray, MemoryKind, Vocabulary
from app.engine.draft_record import DraftRecord
from app.engine.drafts import Drafter
from app.engine.generation import Generation, PreparedGeneration
from app.engine.pace import Pace
from app.engine.plan import Plan, PlannedPicture, PlannedTokens, Planner
from app.engine.prompt_cache import PromptCache
from app.engine.protocol import JobEvent, JobFailed, PromptProgress, Tokens
from app.engine.saved import SavedStates
from app.engine.sequences import Sequence
from app.engine.state_files import StateFiles
from app.engine.step_times import StepTimes
from app.engine.waiting import WaitingQueue

__all__ = ["Scheduler"]

MAX_WAITING = 64
# A preferred request is admitted beyond the places of the others.
_EXTRA_PLACES = 1
_PICTURE_FAILED = "The picture could not be read by the model's projector."


class Scheduler:
    """Decides, decodes, and samples. Engine thread only.

    Nothing is reserved for answers to come: when cells run out, parked sequences go, then the youngest request is copied to the
    host's memory, put back into the queue, and taken up again later where it was.
    """

    def __init__(
        self,
        decoder: Decoder,
        vocabulary: Vocabulary,
        *,
        n_parallel: int,
        saved: SavedStates | None = None,
        files: StateFiles | None = None,
        drafter: Drafter | None = None,
        n_draft: int = 8,
        max_parked_cells: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._n_parallel = n_parallel
        self._clock = clock
        self._files = files
        self._cache = PromptCache(
            decoder, saved or SavedStates(0), is_control=vocabulary.is_control, max_parked_cells=max_parked_cells
        )
        self._pace = Pace()
        # What was guessed wrong has to be cut off again.
        self._drafter = drafter if decoder.memory is not MemoryKind.RECURRENT else None
        self._planner = Planner(decoder.batch, self._pace, self._drafter, n_draft)
        self._waiting = WaitingQueue(MAX_WAITING)
        self._active: list[Generation] = []
        self._events: list[JobEvent] = []
        self._computing: tuple[str, ...] = ()
        self._preempted = 0
        self._drafts = DraftRecord()
        # llama.cpp had no space for all that run: nobody joins them until one of them has ended.
        self._crowded = False
        self.times = StepTimes()

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._active)

    @property
    def cache(self) -> PromptCache:
        return self._cache

    def stats(self, *, send_ns: int = 0) -> EngineStats:
        """What was done since the model was loaded; `send_ns` more nanoseconds went into handing out events."""
        return self.times.stats(
            send_ns,
            preempted=self._preempted,
            active=len(self._active),
            waiting=len(self._waiting),
            parked=len(self._cache.parked),
            cells_used=self._decoder.n_cells - self._cache.free_cells,
            cells=self._decoder.n_cells,
            saved_bytes=self._cache.saved.used_bytes,
        )

    def submit(self, prepared: PreparedGeneration) -> None:
        """Raises EngineBusy."""
        self._waiting.check_room()
        generation = Generation(prepared, self._decoder, self._vocabulary, drafts=self._drafts, clock=self._clock)
        if prepared.saved is not None and self._cache.saved.has_place_for(prepared.saved):
            self._cache.saved.keep(prepared.saved)
        else:
            generation.offered = prepared.saved
        self._waiting.add(generation)

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

    def forget(self, owner: str) -> None:
        """Keep nothing of a conversation that is gone."""
        for generation in (*self._waiting, *self._active):
            if generation.owner == owner:
                generation.disown()
        self._cache.forget(owner)
        if self._files is not None:
            self._files.forget(owner)

    @property
    def has_unwritten(self) -> bool:
        """Whether `keep` has something to write."""
        return self._files is not None and self._cache.has_owned

    def keep(self) -> None:
        """Write to the disk what belongs to conversations, before the memory is freed. Takes as long as it takes."""
        if self._files is not None:
            for state in self._cache.owned():
                # One after the other: copies of all would need the memory twice.
                self._files.write(state)
                self._files.close()

    def interrupt(self, job: str) -> None:
        """Cut short the computation that runs, if it is for this job alone. Any thread; `cancel` still has to follow."""
        if self._computing == (job,):
            self._decoder.interrupt()

    def step(self) -> list[JobEvent]:
        """Compute one batch and return what came of it."""
        self._events = []
        self.times.begin()
        for generation in [g for g in (*self._active, *self._waiting) if g.finished is not None]:
            self._finish(generation)
        self._admit()
        self._relieve()
        plan = self._planner.fill(self._active, free_cells=self._cache.free_cells)
        self.times.filled()
        if plan.tokens and self._decode(plan):
            self._sample(plan)
        if plan.picture is not None and plan.picture.generation in self._active:
            self._decode_picture(plan.picture)
        self.times.end()
        return self._events

    def fail_all(self, error: AppError) -> list[JobEvent]:
        """Give up on everything, after a failure nobody in particular caused; what had happened before it is told too."""
        failed = (*self._active, *self._waiting)
        for generation in failed:
            generation.close()
            self._let_go_of_drafts(generation)
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
        if self._files is not None:
            self._files.close()

    # ------------------------------------------------------------------------------------------------------ admission
    def _admit(self) -> None:
        if self._crowded and self._active:
            return
        self._crowded = False
        for generation in self._waiting:
            places = self._n_parallel + (_EXTRA_PLACES if generation.preferred else 0)
            if len(self._active) >= places:
                return
            if (
                generation.copy is None
                and not generation.echoes
                and self._cache.worth_waiting(generation.row, generation.prompt)
            ):
                continue
            # Prompts that are still being read need the cells they were admitted with.
            sequence = self._place(generation, reserve=sum(map(self._needs, self._active)))
            if sequence is None:
                return
            self._waiting.remove(generation)
            generation.start(sequence)
            self._active.append(generation)
            if self._files is not None and generation.owner is not None:
                self._files.hold(generation.owner)
            if generation.reading:
                self._report(generation)

    def _place(self, generation: Generation, *, reserve: int) -> Sequence | None:
        """Where a request is computed; None if there is no room for it now."""
        row, prompt, owner = generation.row, generation.prompt, generation.owner
        if generation.copy is None:
            # What has been computed before has no logits any more.
            reuse = not generation.echoes
            sequence = self._cache.attach(row, prompt, reserve=reserve, owner=owner, offered=generation.offered, reuse=reuse)
            if sequence is not None:
                generation.offered = None
            return sequence
        sequence = self._cache.resume(generation.copy, row, prompt, reserve=reserve, owner=owner)
        if sequence is not None:
            generation.copy = None
        return sequence

    def _relieve(self) -> None:
        """Make sure that every answer can go on by a step, and that some prompt can be read."""
        while self._active:
            needed = sum(self._needs(generation) for generation in self._active)
            if self._cache.make_room(needed) or len(self._active) == 1:
                return
            self._preempt(self._youngest())

    def _youngest(self) -> Generation:
        return max(self._active, key=lambda generation: generation.arrival)

    @staticmethod
    def _needs(generation: Generation) -> int:
        assert generation.sequence is not None
        return generation.sequence.n_left

    # ------------------------------------------------------------------------------------------------------- decoding
    def _decode(self, plan: Plan) -> bool:
        """Whether the batch was computed. What happens otherwise is decided by llama.cpp's answer."""
        n_read, n_written = plan.n_read, plan.n_written
        started = self._clock()
        self._computing = tuple(item.generation.id for item in plan.tokens)
        result = self._decoder.decode()
        self._computing = ()
        self.times.decoded()
        match result:
            case DecodeResult.OK:
                self._pace.measure(n_read=n_read, n_written=n_written, seconds=self._clock() - started)
                for item in plan.tokens:
                    self._cache.advance(item.sequence, item.n_tokens + len(item.draft))
                return True
            case DecodeResult.NO_SPACE:
                self._make_space(plan)
            case DecodeResult.ABORTED:
                for item in plan.tokens:
                    self._take_up(item)
            case DecodeResult.INVALID:
                self._fail_plan(plan)
            case DecodeResult.FAILED:
                self._fail_plan(plan)
                self._start_over()
        return False

    def _sample(self, plan: Plan) -> None:
        rows = self._decoder.logits() if self._decoder.batch.n_outputs else None
        self.times.decoded()
        for item in plan.tokens:
            generation = item.generation
            was_reading = generation.reading
            if max(item.row, item.first_row) >= 0 and rows is not None and not self._advance(item, rows):
                continue
            if was_reading:
                self._report(generation)
        self.times.sampled()
        for item in plan.tokens:
            if item.generation.sequence is item.sequence:
                self._emit(item.generation)
                if item.generation.finished is not None:
                    self._finish(item.generation)

    def _advance(self, item: PlannedTokens, rows: FloatArray) -> bool:
        """Choose the next tokens of one request; False if that failed, which costs no other."""
        generation = item.generation
        try:
            self._choose(item, rows)
        except AppError as error:
            self._fail(generation, error)
        except Exception as error:  # noqa: BLE001 -- a request's fault must not stop the others
            self._fail(generation, GenerationFailed(f"The answer could not be continued: {error}"))
        return generation.sequence is item.sequence

    def _choose(self, item: PlannedTokens, rows: FloatArray) -> None:
        generation, row = item.generation, item.generation.row
        if item.first_row >= 0:
            generation.echo(item.sequence.n_past - item.n_tokens, rows[item.first_row : item.first_row + item.n_tokens])
        if item.row < 0:
            return
        end = len(row)
        generation.advance(rows[item.row])
        if not item.draft:
            return
        accepted = 0
        for i, guess in enumerate(item.draft):
            if len(row) <= end + i or int(row.ids[end + i]) != guess:
                break
            accepted += 1
            # Tokens that a grammar forces may be there already.
            if generation.finished is None and len(row) == end + accepted:
                generation.advance(rows[item.row + accepted])
        generation.drafts.add(len(item.draft), accepted)
        self.times.guessed(len(item.draft), accepted)
        if accepted < len(item.draft) and not self._cache.cut(item.sequence, end + accepted):
            self._preempt(generation, copy=False)

    def _decode_picture(self, planned: PlannedPicture) -> None:
        generation, sequence, tokens = planned.generation, planned.sequence, planned.placed.tokens
        result = self._decoder.decode_picture(tokens, sequence=sequence.id, position=sequence.position)
        match result:
            case DecodeResult.OK:
                self._cache.advance(sequence, tokens.n_tokens)
                self._report(generation)
            case DecodeResult.ABORTED:
                # An interruption that was meant for the computation before; part of the picture may be there.
                self._preempt(generation, copy=False)
            case DecodeResult.NO_SPACE if self._cache.parked or len(self._active) > 1:
                self._crowded = not self._cache.parked
                self._cache.let_parked_go()
                self._preempt(generation, copy=False)
            case _:
                self._fail(generation, GenerationFailed(_PICTURE_FAILED))

    # --------------------------------------------------------------------------------------------------------- trouble
    def _make_space(self, plan: Plan) -> None:
        """llama.cpp found no cells although the count said there are some."""
        if self._cache.parked:
            self._cache.let_parked_go()
        elif len(self._active) > 1:
            self._crowded = True
            self._preempt(self._youngest())
        else:
            self._fail_plan(plan)

    def _take_up(self, item: PlannedTokens) -> None:
        """Find out how far an aborted batch came."""
        if self._decoder.memory is MemoryKind.RECURRENT or item.first_row >= 0:
            # Some layers' state may have moved on and others' not; or logits are lost that are to be told.
            self._preempt(item.generation, copy=False)
            return
        reached = self._decoder.next_position(item.sequence.id) - item.sequence.position
        self._cache.advance(item.sequence, max(0, min(reached, item.n_tokens + len(item.draft))))
        # The logits of the last token are lost: it has to be computed again.
        last = len(item.sequence.row) - 1
        if item.sequence.n_past > last and not self._cache.cut(item.sequence, last):
            self._preempt(item.generation, copy=False)

    def _preempt(self, generation: Generation, *, copy: bool = True) -> None:
        """Put a running request back into the queue. Without a `copy` it is computed again, with what it has written."""
        assert generation.sequence is not None
        self._preempted += 1
        self._active.remove(generation)
        self._let_go_of_drafts(generation)
        if copy:
            generation.copy = self._cache.suspend(generation.sequence)
        else:
            self._cache.drop(generation.sequence)
        generation.sequence = None
        self._waiting.put_back(generation)

    def _start_over(self) -> None:
        """After a failure that may have spoilt the whole memory."""
        for generation in self._active.copy():
            self._preempt(generation, copy=False)
        self._cache.clear()

    def _fail_plan(self, plan: Plan) -> None:
        for item in plan.tokens:
            self._fail(item.generation, GenerationFailed("llama.cpp could not compute this request."))

    def _fail(self, generation: Generation, error: AppError) -> None:
        """What a failed request has computed may be what is wrong: no other begins with it."""
        self._events.append(JobFailed(generation.id, error))
        self._retire(generation, keep=False)

    # ---------------------------------------------------------------------------------------------------------- ending
    def _report(self, generation: Generation) -> None:
        done = generation.n_prompt if generation.sequence is None else min(generation.sequence.n_past, generation.n_prompt)
        self._events.append(PromptProgress(generation.id, done, generation.n_prompt, generation.cached_tokens))

    def _emit(self, generation: Generation) -> None:
        if pieces := generation.take_pieces():
            self._events.append(Tokens(generation.id, pieces))

    def _finish(self, generation: Generation) -> None:
        self._emit(generation)
        done = generation.done()
        self.times.answered(done.usage)
        self._events.append(done)
        self._retire(generation)

    def _retire(self, generation: Generation, *, keep: bool = True) -> None:
        generation.close()
        self._let_go_of_drafts(generation)
        if generation in self._waiting:
            self._waiting.remove(generation)
            if generation.copy is not None and keep:
                self._cache.saved.keep(generation.copy)
        if generation in self._active:
            self._active.remove(generation)
            self._crowded = False
        if generation.sequence is not None:
            (self._cache.park if keep else self._cache.drop)(generation.sequence)
            generation.sequence = None

    def _let_go_of_drafts(self, generation: Generation) -> None:
        if self._drafter is not None:
            self._drafter.release(generation)
