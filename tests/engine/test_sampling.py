from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import GenerationFailed
from app.domain.generation import SamplerStep, SamplingParams
from app.engine.decoder import FloatArray
from app.engine.llama.chain import LlamaChain
from app.engine.llama.model import LlamaModel
from app.engine.sampling import Plan, Sampler, SamplingPlanner, logprobs
from tests.engine.fakes import END, FakeVocabulary
from tests.engine.native_chain import NativeChain
from tests.engine.rows import params_of, random_row, told

VOCABULARY = FakeVocabulary()


def _sampler(params: SamplingParams, *, seed: int = 11, history: list[int] | None = None) -> Sampler:
    plan = SamplingPlanner(VOCABULARY).plan(params)
    chain = None if plan.plan is Plan.GREEDY else LlamaChain(params, seed=seed, n_vocab=5000)
    return Sampler(plan, chain=chain, history=np.array(history or [], np.int32))


# llama.cpp's own chain on the whole vocabulary, with the same seed, must draw the same.
COMBINATIONS = [
    (params_of(top_k=40, top_p=0.9, min_p=0.05, temperature=0.8), Plan.FAST),
    (SamplingParams(), Plan.FAST),
    (params_of(top_k=3), Plan.FAST),
    (params_of(top_k=300, temperature=1.5), Plan.FAST),
    (params_of(top_p=0.8), Plan.FAST),
    (params_of(top_p=0.95, min_p=0.02, temperature=0.7), Plan.FAST),
    (params_of(min_p=0.05), Plan.FAST),
    (params_of(min_p=0.001, xtc_probability=0.5, temperature=1.3), Plan.FAST),
    (params_of(top_k=50, xtc_probability=0.5, xtc_threshold=0.05), Plan.FAST),
    (params_of(top_p=0.97, xtc_probability=1.0, xtc_threshold=0.1), Plan.FAST),
    (params_of(top_k=40, typical_p=0.7), Plan.FAST),
    (params_of(top_k=60, top_p=0.95, dynatemp_range=0.6, dynatemp_exponent=1.4), Plan.FAST),
    (params_of(top_p=0.9, dynatemp_range=0.9, temperature=0.9), Plan.FAST),
    (params_of(top_n_sigma=1.5), Plan.FAST),
    (params_of(top_n_sigma=2.0, top_k=40, top_p=0.9, min_p=0.02), Plan.FAST),
    (params_of(top_n_sigma=3.0, top_p=0.9, temperature=1.2), Plan.FAST),
    (params_of(top_k=40, adaptive_target=0.3), Plan.FAST),
    (params_of(min_p=0.01, adaptive_target=0.1, adaptive_decay=0.5), Plan.FAST),
    (params_of(temperature=0.7), Plan.FULL),
    (params_of(), Plan.FULL),
    (params_of(typical_p=0.6), Plan.FULL),
    (params_of(typical_p=0.9, top_p=0.9, min_p=0.02), Plan.FULL),
    (params_of(xtc_probability=0.7, xtc_threshold=0.02), Plan.FULL),
    (params_of(dynatemp_range=0.5), Plan.FULL),
    (params_of(mirostat=1, temperature=0.9), Plan.FULL),
    (params_of(mirostat=2, temperature=1.1, mirostat_tau=3.0), Plan.FULL),
    (params_of(top_k=40, repeat_penalty=1.3, frequency_penalty=0.4, presence_penalty=-0.7), Plan.FAST),
    (params_of(top_k=40, logit_bias=((7, 12.0), (8, -np.inf)), repeat_penalty=1.5, repeat_last_n=5), Plan.FAST),
]


@pytest.mark.parametrize(("params", "plan"), COMBINATIONS, ids=told)
def test_every_plan_draws_what_the_native_chain_draws(params: SamplingParams, plan: Plan) -> None:
    n = 5000
    ours = _sampler(params, seed=77)
    native = NativeChain(params, seed=77, n_vocab=n)
    assert SamplingPlanner(VOCABULARY).plan(params).plan is plan
    for step in range(150):
        row = random_row(step, n)
        expected = native.pick(row)
        ours.edit(row)
        assert ours.pick(row) == expected
        ours.accept(expected)
        native.accept(expected)
    ours.close()
    native.close()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_combination_draws_what_the_native_chain_draws(data: st.DataObject) -> None:
    params = SamplingParams(
        temperature=data.draw(st.sampled_from([0.3, 0.8, 1.0, 1.7])),
        dynatemp_range=data.draw(st.sampled_from([0.0, 0.0, 0.4])),
        top_k=data.draw(st.sampled_from([0, 1, 20, 129, 400])),
        top_p=data.draw(st.sampled_from([0.3, 0.9, 1.0])),
        min_p=data.draw(st.sampled_from([0.0, 0.05, 0.3])),
        typical_p=data.draw(st.sampled_from([1.0, 1.0, 0.8])),
        xtc_probability=data.draw(st.sampled_from([0.0, 0.5])),
        repeat_penalty=data.draw(st.sampled_from([1.0, 1.2])),
        frequency_penalty=data.draw(st.sampled_from([0.0, 0.5])),
    )
    seed = data.draw(st.integers(0, 2**32 - 2))
    ours, native = _sampler(params, seed=seed), NativeChain(params, seed=seed, n_vocab=3000)
    for step in range(8):
        row = random_row(seed % 1000 + step, 3000)
        expected = native.pick(row)
        ours.edit(row)
        assert ours.pick(row) == expected
        ours.accept(expected)
        native.accept(expected)
    ours.close()
    native.close()


def test_plans_agree_on_a_large_vocabulary() -> None:
    for params in (SamplingParams(), params_of(top_p=0.9), params_of(min_p=0.02), params_of(top_n_sigma=1.0, top_k=20)):
        ours, native = _sampler(params, seed=3), NativeChain(params, seed=3, n_vocab=128_256)
        for seed in range(12):
            row = random_row(seed, 128_256)
            assert native.pick(row) == ours.pick(row)
        ours.close()
        native.close()


def test_flat_logits_are_left_to_llama_cpp() -> None:
    params = params_of(top_p=0.5)
    ours, native = _sampler(params, seed=3), NativeChain(params, seed=3, n_vocab=60_000)
    for seed in range(10):
        row = random_row(seed, 60_000) * np.float32(0.01)
        assert native.pick(row) == ours.pick(row)
    ours.close()
    native.close()


def test_an_order_of_steps_is_kept() -> None:
    row = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    hot = params_of(temperature=4.0, min_p=0.5)
    drawn = _drawn(replace(hot, samplers=(SamplerStep.MIN_P, SamplerStep.TEMPERATURE)), row)
    assert drawn == {0, 1}
    assert _drawn(replace(hot, samplers=(SamplerStep.TEMPERATURE, SamplerStep.MIN_P)), row) == {0, 1, 2, 3}
    assert _drawn(replace(hot, samplers=()), row) == {0, 1, 2, 3}


def _drawn(params: SamplingParams, row: FloatArray) -> set[int]:
    sampler = _sampler(params)
    tokens = {sampler.pick(row.copy()) for _ in range(400)}
    sampler.close()
    return tokens


def test_an_end_is_not_chosen_before_there_are_min_tokens() -> None:
    row = np.zeros(FakeVocabulary.n_tokens, np.float32)
    row[END] = 9
    sampler = _sampler(SamplingParams(temperature=0, min_tokens=2))
    for may_end in (False, False, True, True):
        edited = row.copy()
        sampler.edit(edited)
        assert (sampler.pick(edited) == END) is may_end
        sampler.accept(1)


def test_ignoring_the_end_bans_it_for_good() -> None:
    row = np.zeros(FakeVocabulary.n_tokens, np.float32)
    row[END] = 9
    sampler = _sampler(SamplingParams(temperature=0, ignore_eos=True, logit_bias=((END, 50.0),)))
    sampler.edit(row)
    assert row[END] == -np.inf


def test_where_only_banned_tokens_are_allowed_the_grammar_wins() -> None:
    sampler = _sampler(SamplingParams(temperature=0, ignore_eos=True))
    row = np.zeros(FakeVocabulary.n_tokens, np.float32)
    sampler.edit(row)
    assert sampler.pick_within(row, np.array([END], np.int32), ruled_out=False) == END


def test_tokens_the_file_suppresses_are_never_chosen() -> None:
    class Mute(FakeVocabulary):
        suppressed_tokens = (65,)

    plan = SamplingPlanner(Mute()).plan(SamplingParams(temperature=0, logit_bias=((65, 5.0),)))
    row = np.zeros(FakeVocabulary.n_tokens, np.float32)
    Sampler(plan, chain=None).edit(row)
    assert row[65] == -np.inf


DRY = {"dry_multiplier": 0.8, "dry_allowed_length": 2, "dry_penalty_last_n": 64}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dry_base": 1.0},
        {"dry_base": 3.0, "dry_allowed_length": 1},
        {"dry_allowed_length": 0, "dry_multiplier": 0.3},
        {"dry_penalty_last_n": 9},
        {"dry_sequence_breakers": ("g: t", "\n\n", "w.")},
        {"dry_sequence_breakers": ("!",), "repeat_penalty": 1.2},
    ],
)
def test_dry_is_the_native_one(ember_model: LlamaModel, changes: dict[str, object]) -> None:
    vocabulary = ember_model.vocabulary
    params = params_of(top_k=40, **(DRY | changes))
    n = vocabulary.n_tokens
    text = "the cat. the dog: the cat saw\n\nthe dog saw the cat. the cat saw the dog! the dog saw the cat saw the"
    history = vocabulary.tokenize(text, parse_special=False)
    native = NativeChain(params, seed=5, n_vocab=n, vocabulary=vocabulary)
    for token in history:
        native.accept(token)
    plan = SamplingPlanner(vocabulary).plan(params)
    ours = Sampler(plan, chain=LlamaChain(params, seed=5, n_vocab=n), history=np.array(history, np.int32))
    touched = 0
    for step in range(120):
        row = random_row(step, n)
        row[np.array(history)] += 6
        expected = native.pick(row)
        before = row.copy()
        ours.edit(row)
        touched += int((before != row).sum())
        assert ours.pick(row) == expected
        # Now and then it repeats itself.
        token = expected if step % 3 else history[step % len(history)]
        ours.accept(token)
        native.accept(token)
    assert touched
    ours.close()
    native.close()


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others() -> None:
    def draw(seed: int) -> list[int]:
        sampler = _sampler(params_of(top_k=40), seed=seed)
        tokens = [sampler.pick(random_row(i) * np.float32(0.1)) for i in range(20)]
        sampler.close()
        return tokens

    assert draw(5) == draw(5)
    assert draw(5) != draw(6)


def test_temperature_zero_takes_the_best() -> None:
    row = random_row(9)
    assert _sampler(SamplingParams(temperature=0)).pick(row) == int(row.argmax())


def test_penalties_and_biases_touch_only_their_tokens() -> None:
    penalties = {"repeat_penalty": 2.0, "frequency_penalty": 0.5, "presence_penalty": 0.25}
    params = SamplingParams(temperature=0, logit_bias=((3, 7.0), (4, -float("inf"))), **penalties)  # type: ignore[arg-type]
    sampler = _sampler(params, history=[1, 1, -5, 2])
    row = np.array([1, 4, -1, 0, 9], np.float32)
    sampler.edit(row)
    assert row.tolist() == [1, 4 / 2 - 2 * 0.5 - 0.25, -1 * 2 - 0.5 - 0.25, 7, -np.inf]


def test_penalties_forget_what_has_left_the_window() -> None:
    params = SamplingParams(temperature=0, presence_penalty=1.0, repeat_last_n=2)
    sampler = _sampler(params, history=[0, 1])
    sampler.accept(2)
    row = np.zeros(4, np.float32)
    sampler.edit(row)
    assert row.tolist() == [0, -1, -1, 0]


def test_a_choice_among_all_but_some_leaves_those_out() -> None:
    row = np.array([9, 1, 5, 3], np.float32)
    assert _sampler(SamplingParams(temperature=0)).pick_within(row, np.array([0, 3], np.int32), ruled_out=True) == 2


def test_a_choice_among_allowed_tokens_is_the_best_of_them() -> None:
    row = np.array([9, 1, 5, 3], np.float32)
    assert _sampler(SamplingParams(temperature=0)).pick_within(row, np.array([1, 2], np.int32), ruled_out=False) == 2
    drawn = _sampler(params_of(top_k=1))
    assert drawn.pick_within(row, np.array([1, 3], np.int32), ruled_out=False) == 3
    drawn.close()


EVERY_KIND = [SamplingParams(temperature=0), *(params for params, _ in COMBINATIONS)]


@pytest.mark.parametrize("params", EVERY_KIND, ids=told)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_broken_logits_are_an_error(params: SamplingParams, value: float) -> None:
    row = random_row(2)
    row[17 if value != -np.inf else slice(None)] = value
    sampler = _sampler(params)
    with pytest.raises(GenerationFailed):
        sampler.pick(row)
    sampler.close()


@pytest.mark.parametrize("params", EVERY_KIND, ids=told)
def test_one_token_left_is_chosen_by_every_plan(params: SamplingParams) -> None:
    row = np.full(5000, -np.inf, np.float32)
    row[321] = -3
    sampler = _sampler(params)
    assert sampler.pick(row) == 321
    assert sampler.pick_within(row, np.array([5, 321], np.int32), ruled_out=False) == 321
    sampler.close()


def test_log_probabilities_are_those_of_the_whole_vocabulary() -> None:
    row = random_row(4, FakeVocabulary.n_tokens)
    best = logprobs(row, 7, 5, FakeVocabulary())
    expected = row - row.max() - np.log(np.exp(row - row.max()).sum())
    assert best.logprob == pytest.approx(float(expected[7]), abs=1e-4)
    assert [one.token_id for one in best.top] == np.argsort(-row, kind="stable")[:5].tolist()
    every = logprobs(row, 7, FakeVocabulary.n_tokens, FakeVocabulary())
    assert sum(np.exp(one.logprob) for one in every.top) == pytest.approx(1, abs=1e-4)
    assert logprobs(row, 7, 0, FakeVocabulary()).top == ()
