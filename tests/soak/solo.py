"""What each request is answered when nothing else has ever run, and whether another answer may be rounding."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from app.domain.generation import FinishReason, SamplingParams
from app.domain.prompt import Piece, TokenIds
from app.engine.engine import Engine
from app.engine.protocol import Done, GenerateJob, JobFailed, Tokens
from app.engine.scheduler import Scheduler
from tests.engine.fakes import run

__all__ = ["NEAR", "TIE", "Answer", "Solo", "Verdict"]

NEAR = 0.02
"""How far rounding may move a token's log probability.

Without flash attention the order of cells and the shape of batches moved those of 16 of 9,816 tokens by more than 0.005, one
by 0.0137; one wrong token in the memory moved them by 0.03 to 2.
"""

TIE = 0.005
"""Two tokens whose log probabilities are so close are equally likely, as far as rounding lets anybody say.

Where nothing was shared, saved, guessed or preempted, answers given side by side departed at gaps of up to 0.0024.
"""


@dataclass(slots=True)
class Answer:
    pieces: list[Piece] = field(default_factory=list)
    end: Done | JobFailed | None = None

    @property
    def ids(self) -> list[int]:
        return [piece.token_id for piece in self.pieces]

    @property
    def reason(self) -> FinishReason | None:
        return self.end.reason if isinstance(self.end, Done) else None


class Verdict(Enum):
    SAME = "the same"
    NEAR_TIE = "another of two equally likely tokens"
    WRONG = "wrong"


class Solo:
    """An engine that answers one request at a time and forgets it; each distinct request once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[GenerateJob, Answer] = {}

    def answer(self, job: GenerateJob) -> Answer:
        key = replace(job, id="", owner=None, preferred=False)
        if key not in self._known:
            self._known[key] = self._run(replace(key, id="solo"))
        return self._known[key]

    def judge(self, job: GenerateJob, answer: Answer, *, whole: bool = True) -> Verdict:
        """Compare token by token. Where the first two differ, both must have been as good as equally likely."""
        expected = self.answer(job)
        ours, theirs = answer.pieces, expected.pieces
        for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            if a.token_id != b.token_id:
                return self._tie(job, expected, i, a, b)
            if a.logprob is not None and b.logprob is not None and abs(a.logprob.logprob - b.logprob.logprob) >= NEAR:
                return Verdict.WRONG
        if len(ours) > len(theirs):
            return self._tie(job, expected, len(theirs), ours[len(theirs)], None)
        if not whole:
            return Verdict.SAME
        if len(ours) < len(theirs):
            return self._tie(job, expected, len(ours), None, theirs[len(ours)])
        texts_agree = [piece.text for piece in ours] == [piece.text for piece in theirs]
        return Verdict.SAME if texts_agree and answer.reason is expected.reason else Verdict.WRONG

    def _tie(self, job: GenerateJob, expected: Answer, at: int, ours: Piece | None, theirs: Piece | None) -> Verdict:
        """`None` stands for the end of the answer."""
        likely = self._likely((*expected.ids[:at],), job)
        eog = [token for token in likely if self._engine._vocabulary.is_eog(token)]
        ends = max((likely[token] for token in eog), default=None)
        one = ends if ours is None else likely.get(ours.token_id)
        other = ends if theirs is None else likely.get(theirs.token_id)
        if one is None or other is None:
            return Verdict.WRONG
        if job.sampling.temperature > 0:
            # A draw falls on either side of a border; what can be checked is that ours was drawn from the right row, and
            # of an end, which tells no log probability, that it could be drawn at all.
            if ours is None:
                drawable = sum(value > one for value in likely.values()) < job.sampling.top_k
            else:
                drawable = ours.logprob is not None and abs(ours.logprob.logprob - one) < NEAR
            return Verdict.NEAR_TIE if drawable else Verdict.WRONG
        return Verdict.NEAR_TIE if abs(one - other) < TIE else Verdict.WRONG

    def _likely(self, before: tuple[int, ...], job: GenerateJob) -> dict[int, float]:
        """The log probability of every token after the prompt and `before`: a grammar may choose among unlikely ones."""
        prompt = (*job.prompt, TokenIds(before)) if before else job.prompt
        probe = GenerateJob("probe", prompt, SamplingParams(temperature=0), max_tokens=1, top_logprobs=1_000_000)
        pieces = self._run(probe).pieces
        return {one.token_id: one.logprob for piece in pieces if piece.logprob is not None for one in piece.logprob.top}

    def _run(self, job: GenerateJob) -> Answer:
        scheduler = self._engine._scheduler
        assert isinstance(scheduler, Scheduler)
        scheduler.cache.clear()
        result = run(self._engine, job)
        pieces = [piece for event in result.events if isinstance(event, Tokens) for piece in event.pieces]
        end = result.ends[job.id]
        assert isinstance(end, Done), end
        return Answer(pieces, end)
