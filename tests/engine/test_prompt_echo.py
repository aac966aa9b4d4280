"""Prompts that are told with their log probabilities. The fake model finds its own words likely and all else unlikely."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from app.domain.errors import InvalidRequest
from app.domain.generation import FinishReason
from app.domain.prompt import Picture, Piece, PlainText, TokenIds
from app.engine.decoder import DecodeResult, MemoryKind
from app.engine.engine import Engine
from app.engine.plan import MAX_DRAFT_ROWS
from app.engine.protocol import GenerateJob, Tokens
from tests.engine.fakes import FakeDecoder, FakeProjector, FakeVocabulary, fake_engine, letters, run, say
from tests.engine.test_media import picture

LIKELY = -1.0


def own_words(start: str, n: int) -> str:
    """`start`, and what the fake model writes after it."""
    tokens = list(start.encode())
    for _ in range(n):
        tokens.append(letters(tokens))
    return bytes(tokens).decode()


def told(name: str, text: str, **options: Any) -> GenerateJob:
    return replace(say(name, text, max_tokens=2, top_logprobs=0), echo=True, **options)


def pieces(engine: Engine, job: GenerateJob, *others: GenerateJob) -> list[Piece]:
    result = run(engine, job, *others)
    assert result.done(job.id).usage.cached_tokens == 0
    return [piece for event in result.events if isinstance(event, Tokens) and event.id == job.id for piece in event.pieces]


def surprises(found: list[Piece]) -> list[int]:
    """Where the fake model expected something else; the first token can't be expected."""
    values = [piece.logprob.logprob if piece.logprob else 0.0 for piece in found]
    assert math.isnan(values[0])
    return [index for index, value in enumerate(values) if index and value < LIKELY]


PROMPT = own_words("x", 60)


def test_the_prompt_comes_before_the_answer_with_its_probabilities() -> None:
    found = pieces(fake_engine(FakeDecoder()), told("a", PROMPT))
    assert "".join(piece.text for piece in found) == own_words("x", 62)
    assert surprises(found) == []
    odd = f"{PROMPT[:20]}?{PROMPT[21:]}"
    assert 20 in surprises(pieces(fake_engine(FakeDecoder()), told("a", odd)))


@pytest.mark.parametrize("memory", MemoryKind)
def test_what_is_in_memory_already_is_computed_again(memory: MemoryKind) -> None:
    engine = fake_engine(FakeDecoder(memory=memory, n_window=16), saved_bytes=10**6)
    run(engine, say("before", PROMPT))
    assert surprises(pieces(engine, told("a", PROMPT))) == []
    # What it leaves can be used.
    assert run(engine, say("after", PROMPT)).done("after").usage.cached_tokens > 0


def test_several_prompts_are_told_side_by_side_and_beside_answers() -> None:
    engine = fake_engine(FakeDecoder())
    jobs = [told("b", PROMPT), told("c", own_words("c", 90)), say("d", "hello", max_tokens=40)]
    assert surprises(pieces(engine, told("a", PROMPT), *jobs)) == []


def test_no_step_has_more_rows_than_guesses_could_have() -> None:
    decoder = FakeDecoder()
    engine = fake_engine(decoder)
    for job in (told("a", PROMPT), told("b", PROMPT), say("c", "hello", max_tokens=30)):
        engine.submit(engine.prepare(job))
    most = 0
    while engine.busy:
        engine.step()
        most = max(most, decoder.batch.n_outputs)
    assert MAX_DRAFT_ROWS <= most <= MAX_DRAFT_ROWS + 2


@pytest.mark.parametrize("saved_bytes", [0, 10**6])
def test_giving_way_loses_no_probability(saved_bytes: int) -> None:
    engine = fake_engine(FakeDecoder(n_cells=100), saved_bytes=saved_bytes)
    early = say("early", "e" * 20, max_tokens=60)
    late = told("late", PROMPT)
    result = run(engine, early, late)
    found = [piece for event in result.events if isinstance(event, Tokens) and event.id == "late" for piece in event.pieces]
    assert "".join(piece.text for piece in found) == own_words("x", 62)
    assert surprises(found) == []


def test_an_aborted_batch_is_told_once() -> None:
    decoder = FakeDecoder()
    decoder.results = [DecodeResult.OK, DecodeResult.ABORTED]
    decoder.computed_before_abort = 7
    found = pieces(fake_engine(decoder), told("a", PROMPT))
    assert "".join(piece.text for piece in found) == own_words("x", 62)
    assert surprises(found) == []


def test_a_prompt_alone_can_be_told() -> None:
    engine = fake_engine(FakeDecoder())
    job = replace(told("a", PROMPT), max_tokens=0)
    result = run(engine, job)
    assert result.texts["a"] == PROMPT
    assert result.done("a").reason is FinishReason.LENGTH
    assert result.done("a").usage.completion_tokens == 0
    assert run(engine, replace(told("b", "x"), max_tokens=0)).texts["b"] == "x"


def test_stop_strings_are_the_answers_affair() -> None:
    assert run(fake_engine(FakeDecoder()), told("a", PROMPT, stop=(PROMPT[5:9],))).texts["a"].startswith(PROMPT)


def test_what_the_tokenizer_puts_in_front_is_not_told() -> None:
    engine = fake_engine(FakeDecoder(), vocabulary=FakeVocabulary(adds_bos=True))
    result = run(engine, told("a", "abc"))
    assert result.texts["a"].startswith("abc")
    first = next(event for event in result.events if isinstance(event, Tokens)).pieces[0]
    assert first.logprob is not None
    assert math.isfinite(first.logprob.logprob)
    ids = replace(told("b", ""), prompt=(TokenIds((97, 98)),), add_special=False)
    assert run(engine, ids).texts["b"].startswith("ab")


def test_a_picture_can_not_be_told() -> None:
    engine = fake_engine(FakeDecoder(), projector=FakeProjector())
    shown: Picture = picture(1)
    with pytest.raises(InvalidRequest) as caught:
        engine.prepare(replace(told("a", ""), prompt=(shown, PlainText("b"))))
    assert caught.value.param == "echo"
