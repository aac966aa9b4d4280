"""One step's work: which tokens of which requests go into the batch."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.batch import Batch
from app.engine.drafts import Drafter, draft_length
from app.engine.generation import Generation
from app.engine.pace import Pace
from app.engine.sequences import Sequence
from app.engine.tokens import PlacedPicture

__all__ = ["MAX_DRAFT_ROWS", "Plan", "PlannedPicture", "PlannedTokens", "Planner"]

# Up to this many tokens count as writing (a token, and those a grammar forces), which goes before reading prompts.
_MAX_WRITTEN = 32
# Beyond so many answers side by side a further row is about as dear as a token.
_FEW = 4

MAX_DRAFT_ROWS = 16
"""Rows of guessed tokens in one step, of all requests together."""


@dataclass(slots=True, eq=False)
class PlannedTokens:
    """`n_tokens` of a generation, and after them a guess at what follows.

    `row` is the number of the row of logits after its last token, -1 if nothing is chosen there; each guessed token's row
    follows. `first_row` is that after its first token, where all of them have one because the prompt is told; else -1.
    """

    generation: Generation
    sequence: Sequence
    n_tokens: int
    row: int
    draft: tuple[int, ...] = ()
    first_row: int = -1


@dataclass(frozen=True, slots=True)
class PlannedPicture:
    """A picture to decode after the batch."""

    generation: Generation
    sequence: Sequence
    placed: PlacedPicture


@dataclass(frozen=True, slots=True)
class Plan:
    tokens: list[PlannedTokens]
    picture: PlannedPicture | None

    @property
    def n_read(self) -> int:
        return sum(item.n_tokens for item in self.tokens if item.generation.reading)

    @property
    def n_written(self) -> int:
        """Rows of answers, guessed ones included."""
        return sum(item.n_tokens + len(item.draft) for item in self.tokens if not item.generation.reading)


class Planner:
    """Fills the batch: answers first, then prompts in turn. Engine thread only."""

    def __init__(self, batch: Batch, pace: Pace, drafter: Drafter | None, n_draft: int) -> None:
        self._batch = batch
        self._pace = pace
        self._drafter = drafter
        self._n_draft = n_draft
        self._turn = 0

    def fill(self, active: list[Generation], *, free_cells: int) -> Plan:
        """Every sequence of `active` has something left to compute."""
        self._batch.clear()
        tokens: list[PlannedTokens] = []
        readers: list[tuple[Generation, Sequence]] = []
        writers: list[tuple[Generation, Sequence, int]] = []
        rows = 0
        for generation in active:
            sequence = generation.sequence
            assert sequence is not None
            n_left = sequence.n_left
            writes = not generation.reading and n_left <= _MAX_WRITTEN and not sequence.has_pictures_ahead
            if writes and rows + n_left <= self._batch.capacity:
                rows += n_left
                writers.append((generation, sequence, n_left))
            else:
                readers.append((generation, sequence))
        # Beside prompts a guess has no known price.
        drafting = self._drafter is not None and not readers and len(writers) <= _FEW
        spare = min(MAX_DRAFT_ROWS, self._batch.capacity - rows, free_cells - rows) if drafting else 0
        for generation, sequence, n_left in writers:
            draft = self._guess(generation, rows, spare) if spare > 0 else ()
            rows += len(draft)
            spare -= len(draft)
            tokens.append(self._add(generation, sequence, n_left, draft))
        return Plan(tokens, self._read(readers, tokens, free_cells))

    def _guess(self, generation: Generation, n_rows: int, spare: int) -> tuple[int, ...]:
        """What is worth guessing, if anything: where a guess is for nothing, it is made before its length is decided."""
        drafter, record = self._drafter, generation.drafts
        # After the guess comes a token that is chosen: all of them must fit into the answer, and into the context.
        most = min(spare, self._n_draft, generation.n_more - 1)
        if most <= 0 or drafter is None or generation.repeatable:
            return ()
        guess: tuple[int, ...] = ()
        if not drafter.token_s:
            guess = drafter.propose(generation, most)
            if not guess:
                return ()
            most = len(guess)
        n = draft_length(self._pace, n_rows, record.rate, most, token_s=drafter.token_s)
        if not n and not record.skip():
            return ()
        return guess[: max(1, n)] or drafter.propose(generation, max(1, n))

    def _read(
        self, readers: list[tuple[Generation, Sequence]], tokens: list[PlannedTokens], free_cells: int
    ) -> PlannedPicture | None:
        picture = None
        free = free_cells - self._batch.n_tokens
        budget = max(0, min(self._batch.room, self._pace.chunk(alone=not tokens), free))
        # Nothing is guessed now, so there is room for as many rows of prompts that are told.
        rows = MAX_DRAFT_ROWS
        self._turn += 1
        for i in range(len(readers)):
            generation, sequence = readers[(self._turn + i) % len(readers)]
            placed = sequence.prompt.picture_at(sequence.n_past)
            if placed is not None:
                picture = picture or PlannedPicture(generation, sequence, placed)
                continue
            n = min(budget, sequence.until_stop(), rows if generation.echoes else budget)
            if n > 0:
                tokens.append(self._echo(generation, sequence, n) if generation.echoes else self._add(generation, sequence, n))
                budget -= n
                rows -= n if generation.echoes else 0
        return picture

    def _echo(self, generation: Generation, sequence: Sequence, n: int) -> PlannedTokens:
        ids = sequence.row.ids[sequence.n_past : sequence.n_past + n]
        row = self._batch.add_chunk(ids, position=sequence.position, sequence=sequence.id, output=True, every=True)
        return PlannedTokens(generation, sequence, n, row if n == sequence.n_left else -1, first_row=row - n + 1)

    def _add(self, generation: Generation, sequence: Sequence, n: int, draft: tuple[int, ...] = ()) -> PlannedTokens:
        start, batch = sequence.n_past, self._batch
        if n == 1 == sequence.n_left:
            row = batch.add(int(sequence.row.ids[start]), position=sequence.position, sequence=sequence.id)
        else:
            ids = sequence.row.ids[start : start + n]
            row = batch.add_chunk(ids, position=sequence.position, sequence=sequence.id, output=n == sequence.n_left)
        position = sequence.position + n
        for i, token in enumerate(draft):
            batch.add(token, position=position + i, sequence=sequence.id)
        return PlannedTokens(generation, sequence, n, row, draft)
