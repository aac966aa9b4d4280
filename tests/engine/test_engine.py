"""The engine on Ember: real text, real pictures, everything together."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from app.domain.errors import ContextOverflow, InvalidRequest
from app.domain.generation import FinishReason, SamplingParams
from app.domain.prompt import Constraint, ControlText, Picture, Piece, PlainText, PromptSegment, TokenIds
from app.engine.engine import Engine
from app.engine.loading import load_engine
from app.engine.protocol import EngineConfig, GenerateJob, Tokens
from tests.engine.fakes import Run, run
from tests.engine.rows import told

GREEDY = SamplingParams(temperature=0)
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def _circle(color: str = "red", size: int = 128) -> Picture:
    image = Image.new("RGB", (size, size), "white")
    ImageDraw.Draw(image).ellipse((size * 0.2, size * 0.2, size * 0.8, size * 0.8), fill=color)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return Picture(buffer.getvalue())


def _chat(*turns: str | tuple[Picture, str]) -> tuple[PromptSegment, ...]:
    """User and assistant in turn, as Ember's template writes them."""
    segments: list[PromptSegment] = []
    for i, turn in enumerate(turns):
        segments.append(ControlText(f"<|im_start|>{'assistant' if i % 2 else 'user'}\n"))
        segments += [turn[0], PlainText(turn[1])] if isinstance(turn, tuple) else [PlainText(turn)]
        segments.append(ControlText("<|im_end|>\n"))
    return (*segments, ControlText("<|im_start|>assistant\n"))


def _ask(name: str, *turns: str | tuple[Picture, str], **options: object) -> GenerateJob:
    return GenerateJob(name, _chat(*turns), **{"sampling": GREEDY, "max_tokens": 100, **options})  # type: ignore[arg-type]


def _pieces(result: Run) -> list[Piece]:
    return [piece for event in result.events if isinstance(event, Tokens) for piece in event.pieces]


def test_a_greeting_is_answered(ember: Engine) -> None:
    result = run(ember, _ask("a", "Hello"))
    assert "Ember" in result.texts["a"]
    done = result.done("a")
    assert done.reason is FinishReason.STOP
    assert done.usage.prompt_tokens == len(ember.tokenize(_chat("Hello"), add_special=True))
    assert done.usage.completion_tokens == len(_pieces(result))
    assert "<|im_end|>" not in result.texts["a"]


def test_a_red_circle_is_called_red_and_a_circle(ember: Engine) -> None:
    answer = run(ember, _ask("a", (_circle(), "What is in this picture?"))).texts["a"]
    assert "red" in answer
    assert "circle" in answer


def test_a_follow_up_about_a_picture_uses_what_was_computed(ember: Engine) -> None:
    first = run(ember, _ask("a", (_circle("blue"), "What is in this picture?")))
    follow = _ask("b", (_circle("blue"), "What is in this picture?"), first.texts["a"], "Which colour is it?")
    result = run(ember, follow)
    assert result.done("b").usage.cached_tokens >= first.done("a").usage.prompt_tokens
    assert "blue" in result.texts["b"]


def test_eight_requests_together_answer_as_each_does_alone(ember: Engine) -> None:
    turns: list[tuple[str | tuple[Picture, str], ...]] = [
        ("Hello",),
        ("What is 3 plus 4?",),
        ("Who are you?",),
        ((_circle(), "What is in this picture?"),),
        ("Say blue.",),
        ("What is the capital of France?",),
        ((_circle("green"), "Which colour is it?"),),
        ("My name is Tom.", "Nice to meet you, Tom!", "What is my name?"),
    ]
    alone = {str(i): run(ember, _ask(str(i), *turn)).texts[str(i)] for i, turn in enumerate(turns)}
    together = run(ember, *[_ask(str(i), *turn) for i, turn in enumerate(turns)]).texts
    assert together == alone
    assert all(alone.values())


def test_json_that_was_asked_for_conforms_to_its_schema(ember: Engine) -> None:
    constraint = Constraint(json_schema=json.dumps(PERSON))
    question = "Anna is 30 years old. Return JSON with the keys name and age."
    result = run(ember, _ask("a", question, constraint=constraint))
    assert json.loads(result.texts["a"]) == {"name": "Anna", "age": 30}
    assert result.done("a").reason is FinishReason.STOP


@pytest.mark.parametrize("sampling", [GREEDY, SamplingParams(temperature=1.5, top_k=0, top_p=1, min_p=0, seed=4)])
def test_even_an_unwilling_answer_conforms(ember: Engine, sampling: SamplingParams) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}},
        "required": ["mood"],
        "additionalProperties": False,
    }
    result = run(ember, _ask("a", "Hello", constraint=Constraint(json_schema=json.dumps(schema)), sampling=sampling))
    assert json.loads(result.texts["a"])["mood"] in ("good", "bad")


def test_a_constrained_answer_cut_short_says_length(ember: Engine) -> None:
    result = run(ember, _ask("a", "Hello", constraint=Constraint(json_schema=json.dumps(PERSON)), max_tokens=3))
    assert result.done("a").reason is FinishReason.LENGTH
    assert result.done("a").usage.completion_tokens == 3


def test_a_schema_that_is_wrong_is_refused_before_anything_runs(ember: Engine) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ember.prepare(_ask("a", "Hello", constraint=Constraint(json_schema='{"type": 3}')))
    assert caught.value.param == "response_format"


def test_a_stop_string_is_not_shown(ember: Engine) -> None:
    whole = run(ember, _ask("a", "Hello")).texts["a"]
    stop = whole[6:12]
    result = run(ember, _ask("a", "Hello", stop=("never said", stop)))
    assert result.texts["a"] == whole[: whole.index(stop)]
    assert result.done("a").stopped_by == stop


def _remember_nothing(engine: Engine) -> None:
    """A prompt that is partly known is computed in other batches, whose rounding can tip a close choice."""
    assert engine._scheduler is not None
    engine._scheduler.cache.clear()
    engine._scheduler.cache.saved.clear()


def test_the_same_seed_writes_the_same_text(ember: Engine) -> None:
    def text(seed: int) -> str:
        _remember_nothing(ember)
        sampling = SamplingParams(temperature=2.0, top_k=0, top_p=0.99, min_p=0, seed=seed)
        return run(ember, _ask("a", "Tell me a story.", sampling=sampling, max_tokens=40)).texts["a"]

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingParams(seed=3, mirostat=2),
        SamplingParams(seed=3, typical_p=0.8, top_k=0),
        SamplingParams(seed=3, top_n_sigma=1.0, xtc_probability=0.5, dynatemp_range=0.3),
        SamplingParams(seed=3, dry_multiplier=0.8, repeat_penalty=1.1, dry_penalty_last_n=-1, repeat_last_n=-1),
        SamplingParams(seed=3, adaptive_target=0.3),
    ],
    ids=told,
)
def test_every_sampler_writes_and_a_seed_repeats_it(ember: Engine, sampling: SamplingParams) -> None:
    def answer() -> Run:
        _remember_nothing(ember)
        return run(ember, _ask("a", "Tell me a story.", sampling=sampling, max_tokens=30))

    first, again = answer(), answer()
    assert first.done("a").usage.completion_tokens > 0
    assert first.ids == again.ids


def test_an_answer_can_be_made_to_go_on(ember: Engine) -> None:
    ends = run(ember, _ask("a", "Hello")).done("a")
    assert ends.reason is FinishReason.STOP
    least = ends.usage.completion_tokens + 20
    longer = run(ember, _ask("a", "Hello", sampling=SamplingParams(temperature=0, min_tokens=least)))
    assert longer.done("a").usage.completion_tokens >= least
    endless = run(ember, _ask("a", "Hello", sampling=SamplingParams(temperature=0, ignore_eos=True), max_tokens=80))
    assert endless.done("a").reason is FinishReason.LENGTH


def test_more_tokens_than_the_answer_may_have_can_not_be_asked_for(ember: Engine) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ember.prepare(_ask("a", "Hello", sampling=SamplingParams(min_tokens=9), max_tokens=8))
    assert caught.value.param == "min_tokens"


@pytest.mark.parametrize("sampling", [GREEDY, SamplingParams(seed=1), SamplingParams(seed=1, mirostat=2, presence_penalty=1.0)])
def test_log_probabilities_are_of_the_chosen_tokens(ember: Engine, sampling: SamplingParams) -> None:
    pieces = _pieces(run(ember, _ask("a", "Hello", top_logprobs=5, sampling=sampling)))
    for piece in pieces:
        assert piece.logprob is not None
        assert piece.logprob.token_id == piece.token_id
        if sampling is GREEDY:
            assert piece.logprob.top[0].token_id == piece.token_id
        assert piece.logprob.logprob <= piece.logprob.top[0].logprob
        assert sum(np.exp(one.logprob) for one in piece.logprob.top) <= 1 + 1e-5
    assert b"".join(piece.logprob.raw for piece in pieces if piece.logprob).decode() == "".join(p.text for p in pieces)


def test_a_banned_token_is_not_written(ember: Engine) -> None:
    first = _pieces(run(ember, _ask("a", "Hello")))[0]
    sampling = SamplingParams(temperature=0, logit_bias=((first.token_id, -100.0),))
    other = _pieces(run(ember, _ask("a", "Hello", sampling=sampling)))[0]
    assert other.token_id != first.token_id


def test_what_a_person_types_never_becomes_a_control_token(ember: Engine) -> None:
    text = "Say <|im_end|> and <tool_call> and <think>"
    ids = ember.tokenize((PlainText(text),), add_special=False)
    control = {token for marker in ("<|im_end|>", "<tool_call>", "<think>") for token in _marker(ember, marker)}
    assert not control & set(ids)
    assert ember.detokenize(ids) == text


def _marker(ember: Engine, text: str) -> tuple[int, ...]:
    ids = ember.tokenize((ControlText(text),), add_special=False)
    assert len(ids) == 1
    return ids


@pytest.mark.parametrize("text", ["", " ", "naïve 日本語 👩‍👩‍👧 \x00 end", "a\r\n\tb", "\ud800"])
def test_any_text_goes_there_and_back(ember: Engine, text: str) -> None:
    ids = ember.tokenize((PlainText(text),), add_special=False)
    assert ember.detokenize(ids) == text.encode("utf-8", "replace").decode()


def test_a_cancelled_request_leaves_room_for_others(ember: Engine) -> None:
    ember.submit(ember.prepare(_ask("a", "Tell me a story.", max_tokens=None)))
    ember.step()
    ember.cancel("a")
    assert not ember.busy
    assert ember.step() == []
    assert run(ember, _ask("b", "Hello")).texts["b"]


def test_a_prompt_that_is_too_long_is_refused_with_its_length(ember: Engine) -> None:
    with pytest.raises(ContextOverflow) as caught:
        ember.prepare(_ask("a", "word " * 5000))
    assert caught.value.n_ctx == 2048
    assert caught.value.n_prompt > 5000


def test_many_conversations_share_a_small_context(ember_path: Path) -> None:
    """Cells run short, parked conversations go, requests are put back: the answers are those of an engine with room."""
    small = load_engine(EngineConfig(ember_path, n_ctx=512, n_parallel=4), on_progress=lambda _f: True)
    roomy = load_engine(EngineConfig(ember_path, n_ctx=8192, n_parallel=4), on_progress=lambda _f: True)
    jobs = [_ask(str(i), f"Tell me a story number {i}. " + "very " * (5 * i), max_tokens=60) for i in range(10)]
    try:
        assert run(small, *jobs).texts == run(roomy, *jobs).texts
    finally:
        small.close()
        roomy.close()


def test_a_prompt_is_found_as_likely_as_when_it_was_written(ember: Engine) -> None:
    asked = _ask("a", "Hello", top_logprobs=2)
    written = _pieces(run(ember, asked))
    prompt = (*asked.prompt, TokenIds(tuple(piece.token_id for piece in written)))
    ask = replace(asked, id="b", prompt=prompt, echo=True, max_tokens=0)
    told = _pieces(run(ember, ask))[-len(written) :]
    assert [piece.token_id for piece in told] == [piece.token_id for piece in written]
    for one, other in zip(told, written, strict=True):
        assert one.logprob is not None
        assert other.logprob is not None
        assert one.logprob.logprob == pytest.approx(other.logprob.logprob, abs=0.02)
        assert len(one.logprob.top) == 2
