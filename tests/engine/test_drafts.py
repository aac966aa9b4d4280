from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from app.domain.generation import SamplingParams
from app.engine.decoder import MemoryKind
from app.engine.drafts import NgramDrafter, draft_length
from app.engine.generation import Generation, PreparedGeneration
from app.engine.pace import Pace
from app.engine.tokens import TokenizedPrompt
from tests.engine.fakes import END, FakeChain, FakeDecoder, FakeVocabulary, fake_engine, letters, plan_of, run, say


def _generation(ids: Sequence[int]) -> Generation:
    prompt = TokenizedPrompt(np.array(ids, np.int32))
    job = say("a", "x")
    return Generation(PreparedGeneration(job, prompt, None, 10_000, plan_of(job)), FakeDecoder(), FakeVocabulary())


def test_what_followed_the_same_three_tokens_last_is_guessed() -> None:
    generation = _generation([9, 1, 2, 3, 4, 5, 6, 1, 2, 3, 7, 8, 1, 2, 3])
    drafter = NgramDrafter()
    assert drafter.propose(generation, 3) == (7, 8, 1)
    generation.row.append(7)
    generation.row.append(8)
    assert drafter.propose(generation, 2) == (1, 2)


def test_a_short_period_goes_on_beyond_what_is_written() -> None:
    assert NgramDrafter().propose(_generation([1, 2, 1, 2, 1, 2]), 5) == (1, 2, 1, 2, 1)


def test_nothing_is_guessed_of_what_was_never_seen_or_is_too_short() -> None:
    assert NgramDrafter().propose(_generation([1, 2, 3, 4, 5]), 4) == ()
    assert NgramDrafter().propose(_generation([1, 1]), 4) == ()


def test_a_picture_is_never_guessed() -> None:
    assert NgramDrafter().propose(_generation([1, 2, 3, 4, -5, 6, 1, 2, 3]), 4) == (4,)


def test_a_long_prompt_is_looked_through_bit_by_bit() -> None:
    rng = np.random.default_rng(1)
    ids = [*rng.integers(0, 200, 9000).tolist(), 250, 251, 252, 7, 7, 7, 250, 251, 252]
    generation, drafter = _generation(ids), NgramDrafter()
    guesses = [drafter.propose(generation, 1) for _ in range(6)]
    assert guesses[0] == ()
    assert guesses[-1] == (7,)


def test_a_drafter_forgets_a_generation_that_has_ended() -> None:
    generation, drafter = _generation([1, 2, 3, 4, 1, 2, 3]), NgramDrafter()
    drafter.propose(generation, 1)
    drafter.release(generation)
    drafter.release(generation)
    assert drafter.propose(generation, 1) == (4,)


def _learned(*, one: float, more: float) -> Pace:
    pace = Pace()
    for rows in range(1, 17):
        for _ in range(3):
            pace.measure(n_read=0, n_written=rows, seconds=one + more * (rows - 1))
    return pace


def test_guesses_are_as_long_as_they_pay() -> None:
    cheap = _learned(one=1.0, more=0.01)
    assert draft_length(cheap, 1, 1.0, 8) == 8
    assert draft_length(cheap, 1, 0.95, 8) == 8
    assert 1 <= draft_length(cheap, 1, 0.4, 8) < 8
    assert draft_length(cheap, 1, 0.95, 3) == 3
    assert draft_length(cheap, 1, 0.02, 8) == 0
    dear = _learned(one=1.0, more=0.9)
    assert draft_length(dear, 1, 0.9, 8) == 0


def test_a_guess_that_takes_as_long_as_a_step_never_pays() -> None:
    cheap = _learned(one=1.0, more=0.01)
    assert draft_length(cheap, 1, 0.9, 8, token_s=0.1) > 0
    assert draft_length(cheap, 1, 0.9, 8, token_s=1.0) == 0


class _Oracle:
    """Knows the fake model's answers, and is wrong every `wrong`-th time."""

    token_s = 0.0

    def __init__(self, wrong: int) -> None:
        self._wrong = wrong
        self._asked = 0
        self.released: set[str] = set()

    def propose(self, generation: Generation, n: int) -> tuple[int, ...]:
        self._asked += 1
        ids = generation.row.ids.tolist()
        for _ in range(n):
            ids.append(letters(ids))
        guess = ids[len(generation.row) :]
        if self._asked % self._wrong == 0:
            guess[len(guess) // 2] = 1
        return tuple(guess)

    def release(self, generation: Generation) -> None:
        self.released.add(generation.id)


@pytest.mark.parametrize("memory", [MemoryKind.PLAIN, MemoryKind.WINDOWED])
@pytest.mark.parametrize("wrong", [1, 2, 5, 1000])
def test_guesses_change_no_answer(memory: MemoryKind, wrong: int) -> None:
    jobs = [say(name, name * 5, max_tokens=40) for name in "abc"]
    plain = run(fake_engine(FakeDecoder()), *jobs)
    decoder, oracle = FakeDecoder(memory=memory, n_window=64), _Oracle(wrong)
    guessed = run(fake_engine(decoder, drafter=oracle), *jobs)
    assert guessed.texts == plain.texts
    assert guessed.ids == plain.ids
    assert oracle.released == set("abc")
    usage = guessed.done("a").usage
    assert usage.completion_tokens == 40
    assert usage.drafted_tokens >= usage.accepted_tokens
    if wrong == 1000:
        assert usage.accepted_tokens > 20
        assert len(decoder.batches) < 35


def test_a_model_with_a_running_state_gets_no_guesses() -> None:
    engine = fake_engine(FakeDecoder(memory=MemoryKind.RECURRENT), drafter=_Oracle(1000))
    assert run(engine, say("a", "a", max_tokens=20)).done("a").usage.drafted_tokens == 0


def test_draws_are_the_same_with_and_without_guesses() -> None:
    """Each token is drawn from the model's own logits with the request's own random numbers, guessed or not."""

    class SameDraws(FakeDecoder):
        def chain(self, params: SamplingParams, *, seed: int) -> FakeChain:
            return super().chain(params, seed=7)

    sampling = SamplingParams(temperature=1.0, top_k=4, min_p=0, logit_bias=((END, -100.0),))
    jobs = [say("a", "begin", max_tokens=200, sampling=sampling)]
    plain = run(fake_engine(SameDraws()), *jobs).ids["a"]
    guessed = run(fake_engine(SameDraws(), drafter=_Oracle(1000)), *jobs)
    assert guessed.ids["a"] == plain
    assert 0 < guessed.done("a").usage.accepted_tokens < 200


def test_a_request_with_a_seed_is_computed_in_the_same_batches_each_time() -> None:
    seeded = say("a", "a", max_tokens=20, sampling=SamplingParams(temperature=0, seed=1))
    assert run(fake_engine(FakeDecoder(), drafter=_Oracle(1000)), seeded).done("a").usage.drafted_tokens == 0


def test_an_answer_that_is_stopped_or_full_within_a_guess_ends_there() -> None:
    full = run(fake_engine(FakeDecoder(), drafter=_Oracle(1000), limit=33), say("a", "a", max_tokens=None))
    assert full.done("a").usage.completion_tokens == 32
    plain = run(fake_engine(FakeDecoder()), say("a", "a", max_tokens=30)).texts["a"]
    stopped = run(fake_engine(FakeDecoder(), drafter=_Oracle(1000)), say("a", "a", max_tokens=30, stop=(plain[17:20],)))
    assert stopped.texts["a"] == plain[: plain.index(plain[17:20])]


def test_no_guess_goes_beyond_the_answer_or_the_context() -> None:
    """Some models have no positions beyond the context they were trained for: llama.cpp would end the process."""
    for limit, max_tokens in ((30, None), (512, 12)):
        decoder = FakeDecoder()
        oracle = _Oracle(1000)
        run(fake_engine(decoder, drafter=oracle, limit=limit), say("a", "0123456789", max_tokens=max_tokens))
        assert max(decoder.next_position(number) for number in range(8)) <= 10 + (20 if max_tokens is None else max_tokens) - 1


def test_a_small_batch_is_never_filled_beyond_its_end() -> None:
    jobs = [say(name, name * 5, max_tokens=40) for name in "abc"]
    guessed = run(fake_engine(FakeDecoder(n_batch=8), drafter=_Oracle(1000)), *jobs)
    assert guessed.texts == run(fake_engine(FakeDecoder()), *jobs).texts
