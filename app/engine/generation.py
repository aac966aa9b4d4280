"""One answer being written: its tokens, its text, and when it ends."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from app.domain.errors import GenerationFailed
from app.domain.generation import FinishReason, Timings, TokenLogprob, Usage
from app.domain.prompt import Piece
from app.engine.constraint import AnswerConstraint
from app.engine.decoder import Decoder, FloatArray, Vocabulary
from app.engine.draft_record import DraftRecord
from app.engine.prompt_echo import PromptEcho
from app.engine.protocol import Done, GenerateJob
from app.engine.sampling import Plan, Sampler, SamplingPlan, logprobs
from app.engine.saved import SavedSequence
from app.engine.sequences import Sequence
from app.engine.text_stream import TextStream
from app.engine.thought_limit import ThoughtLimit
from app.engine.tokens import TokenizedPrompt, TokenRow

__all__ = ["Generation", "PreparedGeneration"]

# In free text only tokens that begin a bound passage wrongly are refused, one by one.
_MOST_CHOICES = 32


@dataclass(frozen=True, slots=True)
class PreparedGeneration:
    """A job that has been checked. `limit` is how many tokens prompt and answer may have together.

    `saved` is what the disk held of its conversation, if the model's memory might not. `n_added` tokens of the prompt come
    before those that the job's client sent.
    """

    job: GenerateJob
    prompt: TokenizedPrompt
    constraint: AnswerConstraint | None
    limit: int
    sampling: SamplingPlan
    saved: SavedSequence | None = None
    n_added: int = 0

    @property
    def id(self) -> str:
        return self.job.id


class Generation:
    """A prepared job on its way through the engine. Engine thread only."""

    def __init__(
        self,
        prepared: PreparedGeneration,
        decoder: Decoder,
        vocabulary: Vocabulary,
        *,
        drafts: DraftRecord | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`drafts` is how well guesses have done so far. Raises GenerationFailed if the constraint can't be kept from the first
        token on.
        """
        job = prepared.job
        self.id = job.id
        self.prompt = prepared.prompt
        self.row = TokenRow(prepared.prompt.ids)
        self.owner = job.owner
        self.preferred = job.preferred
        # The shapes of its batches must not depend on how fast the machine happens to be.
        self.repeatable = job.sampling.seed is not None
        self.arrival = 0
        self.sequence: Sequence | None = None
        self.copy: SavedSequence | None = None
        self.offered: SavedSequence | None = None
        self.drafts = DraftRecord(drafts)
        self.finished: FinishReason | None = None
        self.cached_tokens = 0
        self._job = job
        self._limit = prepared.limit
        self._constraint = prepared.constraint
        self._vocabulary = vocabulary
        self._clock = clock
        seed = job.sampling.seed if job.sampling.seed is not None else secrets.randbits(32)
        greedy = prepared.sampling.plan is Plan.GREEDY
        chain = None if greedy else decoder.chain(job.sampling, seed=seed % 2**32)
        self._sampler = Sampler(prepared.sampling, chain=chain, history=prepared.prompt.ids)
        self._echo = _prompt_echo(prepared, vocabulary)
        self._text = TextStream(job.stop, strip_first_space=_starts_text(vocabulary, prepared.prompt))
        limit = job.reasoning_limit
        self._thought = ThoughtLimit(limit) if limit is not None else None
        self._closing = vocabulary.tokenize(limit.closing, parse_special=True) if limit is not None else []
        self._refused: int | None = None
        self._n_generated = 0
        self._queued_at = clock()
        self._started_at: float | None = None
        self._first_token_at: float | None = None
        try:
            if job.max_tokens != 0:
                self._end_thought()
                self._take_forced()
            if self._constraint is not None and self._constraint.finished and self.finished is None:
                # What the prompt held of the answer was all of it.
                self._end(FinishReason.STOP)
        except BaseException:
            self.close()
            raise

    @property
    def n_prompt(self) -> int:
        return len(self.prompt.ids)

    @property
    def reading(self) -> bool:
        """Whether the prompt has not been computed to its end."""
        return self._first_token_at is None

    @property
    def echoes(self) -> bool:
        """Whether every token of the prompt that is still to be read needs its logits."""
        return self._echo is not None and not self._echo.is_complete

    @property
    def n_more(self) -> int:
        """How many tokens may still be written."""
        room = self._limit - len(self.row)
        wanted = self._job.max_tokens
        return room if wanted is None else min(room, wanted - self._n_generated)

    def start(self, sequence: Sequence) -> None:
        """Put it on a sequence; again after it has been preempted."""
        self.sequence = sequence
        if self._started_at is None:
            self._started_at = self._clock()
            self.cached_tokens = min(sequence.n_past, self.n_prompt)

    def echo(self, start: int, rows: FloatArray) -> None:
        """Learn how likely the prompt's tokens are from the logits after those from `start` on. Raises GenerationFailed."""
        if self._echo is not None:
            self._echo.read(start, rows)

    def advance(self, row: FloatArray) -> None:
        """Choose the next token from its logits, and take those that must follow. Raises GenerationFailed."""
        if self._first_token_at is None:
            self._first_token_at = self._clock()
        if self._job.max_tokens == 0:
            self._end(FinishReason.LENGTH)
            return
        wanted = self._job.top_logprobs
        original = row.copy() if wanted is not None else row
        if self._refused is not None:
            row[self._refused] = -np.inf
        self._sampler.edit(row)
        token = self._choose(row)
        if self._vocabulary.is_eog(token):
            self._end(FinishReason.STOP)
            return
        self._take(token, None if wanted is None else logprobs(original, token, wanted, self._vocabulary))
        self._end_thought()
        self._take_forced()

    def stop(self) -> None:
        """End the answer where it is, as if the model had."""
        if self.finished is None:
            self._end(FinishReason.STOP)

    def disown(self) -> None:
        """Its conversation is gone: what it leaves belongs to nobody."""
        self.owner = self.offered = None
        if self.copy is not None:
            self.copy = replace(self.copy, owner=None)

    def take_pieces(self) -> tuple[Piece, ...]:
        return (*self._echo.take(), *self._text.take()) if self._echo is not None else self._text.take()

    def done(self) -> Done:
        assert self.finished is not None
        now = self._clock()
        started = self._started_at if self._started_at is not None else now
        first = self._first_token_at if self._first_token_at is not None else now
        return Done(
            self.id,
            self.finished,
            Usage(
                self.n_prompt,
                self._n_generated,
                self.cached_tokens,
                drafted_tokens=self.drafts.drafted,
                accepted_tokens=self.drafts.accepted,
            ),
            Timings(started - self._queued_at, first - started, now - first),
            self._text.stopped_by,
        )

    def close(self) -> None:
        self._sampler.close()

    # ------------------------------------------------------------------------------------------------------- choosing
    def _choose(self, row: FloatArray) -> int:
        token = self._sampler.pick(row)
        constraint = self._constraint
        if constraint is None or constraint.allows(token):
            return self._or_closing(token)
        # The free choice was not legal: choose again among the legal ones.
        for _ in range(_MOST_CHOICES):
            allowed = constraint.allowed(but=token)
            token = self._sampler.pick_within(row, allowed.ids, ruled_out=allowed.ruled_out)
            if constraint.allows(token):
                return self._or_closing(token)
        raise GenerationFailed("The grammar of the answer left no token to choose.")

    def _or_closing(self, token: int) -> int:
        """The token to take: where the free part of a constrained answer would end unclosed, what closes it."""
        if self._constraint is None or not self._vocabulary.is_eog(token):
            return token
        closing = self._constraint.instead_of_ending()
        if not closing:
            return token
        for forced in closing[:-1]:
            self._take(forced, None)
        return closing[-1]

    def _end_thought(self) -> None:
        """Close the reasoning if it has become too long."""
        if self._thought is not None and self._thought.is_reached:
            self._thought = None
            for token in self._closing:
                self._take(token, None)
            self._refused = self._second_closing()

    def _second_closing(self) -> int | None:
        """The token with which a model whose thought was cut might close it again, in the middle of its answer."""
        limit = self._job.reasoning_limit
        if limit is None or limit.closing.strip() != limit.close:
            return None
        ids = self._vocabulary.tokenize(limit.close, parse_special=True)
        return ids[0] if len(ids) == 1 and self._vocabulary.is_control(ids[0]) else None

    def _take_forced(self) -> None:
        # Without a row of logits there are no log probabilities: who wants them gets every token sampled.
        if self._constraint is None or self._job.top_logprobs is not None:
            return
        for token in self._constraint.forced():
            if self.finished is not None:
                return
            if self._vocabulary.is_eog(token):
                self._end(FinishReason.STOP)
            else:
                self._take(token, None)

    def _take(self, token: int, logprob: TokenLogprob | None) -> None:
        if self.finished is not None:
            return
        self._n_generated += 1
        self.row.append(token)
        self._sampler.accept(token)
        piece = self._vocabulary.piece(token)
        self._text.feed(token, piece, control=self._vocabulary.is_control(token), logprob=logprob)
        if self._thought is not None:
            self._thought.read(piece)
        if self._constraint is not None:
            self._constraint.accept(token)
        if self._text.stopped_by is not None or (self._constraint is not None and self._constraint.finished):
            self._end(FinishReason.STOP)
        elif self._n_generated == self._job.max_tokens or len(self.row) >= self._limit:
            self._end(FinishReason.LENGTH)

    def _end(self, reason: FinishReason) -> None:
        self.finished = reason
        self._text.finish()


def _prompt_echo(prepared: PreparedGeneration, vocabulary: Vocabulary) -> PromptEcho | None:
    job = prepared.job
    if not job.echo:
        return None
    return PromptEcho(prepared.prompt.ids, job.top_logprobs or 0, vocabulary, skipped=prepared.n_added)


def _starts_text(vocabulary: Vocabulary, prompt: TokenizedPrompt) -> bool:
    """Whether the answer begins where the tokenizer would have put a space of its own in front."""
    if not vocabulary.adds_space:
        return False
    last = int(prompt.ids[-1]) if len(prompt.ids) else -1
    return last < 0 or vocabulary.is_control(last)
