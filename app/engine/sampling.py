"""Choosing the next token: sparse edits and exact candidate selection in numpy, truncation and draw in the native chain."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass

import numpy as np

from app.domain.generation import SamplerStep, SamplingParams, TokenLogprob
from app.engine.candidates import active_steps, best_tokens, candidates, check_finite
from app.engine.decoder import Chain, FloatArray, IntArray, Vocabulary
from app.engine.dry import Breakers, DryPenalty, find_breakers

__all__ = ["Plan", "Sampler", "SamplingPlan", "SamplingPlanner", "logprobs"]

# A set of breakers may name every token of the vocabulary.
_MOST_BREAKERS = 4
_NO_TOKENS = np.empty(0, np.int32)
_FASTER = frozenset({SamplerStep.TOP_N_SIGMA, SamplerStep.TOP_K, SamplerStep.TOP_P, SamplerStep.MIN_P})


class Plan(enum.Enum):
    """How a request's tokens are chosen. GREEDY takes the best. FAST gives the native chain the few tokens it could choose;
    with the same seed it draws what FULL would, where the chain gets the whole vocabulary."""

    GREEDY = enum.auto()
    FAST = enum.auto()
    FULL = enum.auto()


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """A request's sampling, worked out before it runs.

    `bias_ids` and `bias` are what is added to logits in every row, −∞ for what must never come; `ends` may not come before the
    answer has `params.min_tokens`. `breakers` are there if DRY is on.
    """

    params: SamplingParams
    plan: Plan
    steps: tuple[SamplerStep, ...]
    bias_ids: IntArray
    bias: FloatArray
    ends: IntArray
    breakers: Breakers | None = None


class SamplingPlanner:
    """Works out plans for one vocabulary. Preparing thread only."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._breakers: dict[tuple[str, ...], Breakers] = {}

    def plan(self, params: SamplingParams) -> SamplingPlan:
        steps = active_steps(params)
        biases = self._biases(params)
        ends = self._vocabulary.eog_tokens if params.min_tokens > 0 else ()
        return SamplingPlan(
            params,
            _kind(params, steps),
            steps,
            np.fromiter(biases.keys(), np.int32, len(biases)),
            np.fromiter(biases.values(), np.float32, len(biases)),
            np.array(ends, np.int32),
            self._breakers_of(params.dry_sequence_breakers) if _is_dry(params) else None,
        )

    def _biases(self, params: SamplingParams) -> dict[int, float]:
        biases: dict[int, float] = {}
        for token, bias in params.logit_bias:
            biases[token] = biases.get(token, 0.0) + bias
        never = (*self._vocabulary.suppressed_tokens, *(self._vocabulary.eog_tokens if params.ignore_eos else ()))
        return biases | dict.fromkeys(never, -np.inf)

    def _breakers_of(self, texts: tuple[str, ...]) -> Breakers:
        known = self._breakers.get(texts)
        if known is None:
            if len(self._breakers) >= _MOST_BREAKERS:
                self._breakers.clear()
            known = self._breakers[texts] = find_breakers(texts, self._vocabulary)
        return known


class Sampler:
    """One request's way of choosing, with all its state. `chain` None where the plan is GREEDY. Engine thread only.

    `history` are the prompt's tokens, which penalties and DRY look at too.
    """

    def __init__(self, plan: SamplingPlan, *, chain: Chain | None, history: IntArray = _NO_TOKENS) -> None:
        self._plan = plan
        self._params = params = plan.params
        self._chain = chain
        self._n_written = 0
        text = history[history >= 0]
        self._window = _Window(params.repeat_last_n, text) if _penalises(params) else None
        self._dry = DryPenalty(params, plan.breakers) if plan.breakers is not None else None
        self._tokens = _Tokens(params.dry_penalty_last_n, text) if self._dry is not None else None
        self._penalties_first = _penalties_first(params)

    def edit(self, row: FloatArray) -> None:
        """Apply biases, penalties and DRY to a row of logits, in place; once per row, before `pick`."""
        plan = self._plan
        if len(plan.bias_ids):
            row[plan.bias_ids] += plan.bias
        if self._n_written < self._params.min_tokens:
            row[plan.ends] = -np.inf
        if self._penalties_first:
            self._penalise(row)
        if self._dry is not None and self._tokens is not None:
            self._dry.apply(row, self._tokens.last)
        if not self._penalties_first:
            self._penalise(row)

    def pick(self, row: FloatArray) -> int:
        """Choose among all tokens of an edited row. Raises GenerationFailed for a row that is no row of logits."""
        if self._chain is None:
            token = int(row.argmax())
            check_finite(row[token])
            return token
        found = candidates(row, self._params, self._plan.steps)
        return self._chain.choose(found.indices.astype(np.int32), row[found.indices], cut=found.cut)

    def pick_within(self, row: FloatArray, ids: IntArray, *, ruled_out: bool) -> int:
        """Choose among `ids` (at least one) of an edited row; with `ruled_out` among all others, which changes the row."""
        if ruled_out:
            row[ids] = -np.inf
            return self.pick(row)
        logits = row[ids]
        best = logits.max()
        if best == -np.inf:
            # What a grammar leaves has been ruled out by biases or by min_tokens: the grammar wins.
            return int(ids[0])
        if self._chain is None:
            check_finite(best)
            return int(ids[logits.argmax()])
        found = candidates(logits, self._params, self._plan.steps)
        return self._chain.choose(ids[found.indices], logits[found.indices], cut=found.cut)

    def accept(self, token: int) -> None:
        """Remember a token of the answer."""
        self._n_written += 1
        if self._window is not None:
            self._window.add(token)
        if self._tokens is not None:
            self._tokens.add(token)
        if self._chain is not None:
            self._chain.accept(token)

    def close(self) -> None:
        if self._chain is not None:
            self._chain.close()

    def _penalise(self, row: FloatArray) -> None:
        if self._window is None or not self._window.counts:
            return
        counts = self._window.counts
        ids = np.fromiter(counts.keys(), np.int32, len(counts))
        times = np.fromiter(counts.values(), np.float32, len(counts))
        logits = row[ids]
        repeat = np.float32(self._params.repeat_penalty)
        logits = np.where(logits > 0, logits / repeat, logits * repeat)
        frequency, presence = np.float32(self._params.frequency_penalty), np.float32(self._params.presence_penalty)
        row[ids] = logits - (times * frequency + presence)


class _Tokens:
    """The tokens of prompt and answer in one array. `size` is how many of the last ones matter; a negative one means all."""

    def __init__(self, size: int, history: IntArray) -> None:
        self._size = size
        self._n = len(history)
        self._all = np.empty(2 * self._n + 64, np.int32)
        self._all[: self._n] = history

    @property
    def last(self) -> IntArray:
        start = max(0, self._n - self._size) if self._size >= 0 else 0
        return self._all[start : self._n]

    def add(self, token: int) -> None:
        if self._n == len(self._all):
            self._all = np.concatenate([self._all, np.empty_like(self._all)])
        self._all[self._n] = token
        self._n += 1


class _Window:
    """How often each of the last `size` tokens occurs among them; a negative size keeps all."""

    def __init__(self, size: int, history: IntArray) -> None:
        self._size = size
        self._tokens = _Tokens(size, history)
        self.counts = Counter(self._tokens.last.tolist())

    def add(self, token: int) -> None:
        last = self._tokens.last
        if len(last) == self._size:
            oldest = int(last[0])
            self.counts[oldest] -= 1
            if not self.counts[oldest]:
                del self.counts[oldest]
        self._tokens.add(token)
        self.counts[token] += 1


def logprobs(row: FloatArray, token: int, top: int, vocabulary: Vocabulary) -> TokenLogprob:
    """The chosen token's log probability and the `top` most likely tokens', from a row nobody has edited."""
    best = row.max()
    check_finite(best)
    normaliser = float(best + np.log(np.exp(row - best, dtype=np.float32).sum(dtype=np.float64)))
    n = min(top, len(row))
    alternatives: tuple[TokenLogprob, ...] = ()
    if n:
        ids = best_tokens(row, n)
        ids = ids[np.argsort(-row[ids], kind="stable")[:n]]
        alternatives = tuple(_logprob(vocabulary, int(i), float(row[i]) - normaliser) for i in ids)
    return _logprob(vocabulary, token, float(row[token]) - normaliser, alternatives)


def _logprob(vocabulary: Vocabulary, token: int, value: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    raw = vocabulary.piece(token)
    return TokenLogprob(token, raw.decode("utf-8", "replace"), raw, min(value, 0.0), top)


def _kind(params: SamplingParams, steps: tuple[SamplerStep, ...]) -> Plan:
    if params.temperature <= 0:
        return Plan.GREEDY
    return Plan.FAST if steps and steps[0] in _FASTER else Plan.FULL


def _penalises(params: SamplingParams) -> bool:
    wanted = params.repeat_penalty != 1 or params.frequency_penalty != 0 or params.presence_penalty != 0
    return wanted and params.repeat_last_n != 0 and SamplerStep.PENALTIES in params.samplers


def _is_dry(params: SamplingParams) -> bool:
    return params.dry_multiplier != 0 and params.dry_penalty_last_n != 0 and SamplerStep.DRY in params.samplers


def _penalties_first(params: SamplingParams) -> bool:
    order = params.samplers
    return SamplerStep.DRY not in order or order.index(SamplerStep.DRY) > (
        order.index(SamplerStep.PENALTIES) if SamplerStep.PENALTIES in order else -1
    )
