from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from app.domain.errors import ModelLoadFailed
from app.domain.generation import SamplingParams
from app.domain.prompt import PlainText
from app.engine.decoder import DecodeResult
from app.engine.draft_model import DraftModel
from app.engine.loading import load_engine
from app.engine.protocol import EngineConfig, GenerateJob
from tests.engine.fakes import FakeDecoder, FakeVocabulary, fake_engine, letters, run, say
from tests.engine.tiny_models import write_lfm2, write_llama


def _mostly_right(tokens: Sequence[int]) -> int:
    return letters(tokens) if len(tokens) % 5 else ord("?")


def _draft(decoder: FakeDecoder) -> DraftModel:
    return DraftModel(decoder, n_vocab=FakeVocabulary.n_tokens)


def test_a_smaller_model_guesses_and_the_larger_one_decides() -> None:
    jobs = [say(name, name * 7, max_tokens=60) for name in "abc"]
    plain = run(fake_engine(FakeDecoder()), *jobs)
    decoder, small = FakeDecoder(), FakeDecoder(answer=_mostly_right)
    guessed = run(fake_engine(decoder, drafter=_draft(small)), *jobs)
    assert guessed.texts == plain.texts
    usage = guessed.done("a").usage
    assert usage.drafted_tokens > usage.accepted_tokens > 20
    assert len(decoder.batches) < 55
    # Its memory holds nothing of requests that have ended.
    assert small.used_cells == 0


def test_a_small_model_whose_memory_is_full_costs_guesses_only() -> None:
    small = FakeDecoder(n_cells=30)
    result = run(fake_engine(FakeDecoder(), drafter=_draft(small)), say("a", "a" * 20, max_tokens=40))
    assert result.done("a").usage.completion_tokens == 40
    failing = FakeDecoder()
    failing.results = [DecodeResult.OK, DecodeResult.FAILED] * 20
    again = run(fake_engine(FakeDecoder(), drafter=_draft(failing)), say("a", "a" * 20, max_tokens=40))
    assert again.texts == result.texts


def test_a_text_too_long_for_the_small_model_is_read_by_it_once() -> None:
    small = FakeDecoder(n_cells=40, n_batch=16)
    run(fake_engine(FakeDecoder(), drafter=_draft(small)), say("a", "a" * 60, max_tokens=40))
    assert sum(sum(batch.values()) for batch in small.batches) <= 40
    assert small.used_cells == 0


def test_a_failure_that_may_have_spoilt_the_small_models_memory_empties_it() -> None:
    small = FakeDecoder()
    small.results = [DecodeResult.OK] * 5 + [DecodeResult.FAILED]
    jobs = [say(name, name * 7, max_tokens=30) for name in "ab"]
    result = run(fake_engine(FakeDecoder(), drafter=_draft(small)), *jobs)
    assert result.texts == run(fake_engine(FakeDecoder()), *jobs).texts
    assert not small.results


def test_more_requests_than_places_are_answered_all_the_same() -> None:
    small = FakeDecoder(n_sequences=1)
    jobs = [say(name, name * 7, max_tokens=30) for name in "abc"]
    result = run(fake_engine(FakeDecoder(), drafter=_draft(small)), *jobs)
    assert result.texts == run(fake_engine(FakeDecoder()), *jobs).texts


def _load(path: Path, draft: Path, **options: int) -> EngineConfig:
    return EngineConfig(path, n_ctx=1024, n_parallel=2, draft_path=draft, **options)


def test_a_real_model_beside_a_real_one_writes_what_it_would_alone(ember_path: Path) -> None:
    job = GenerateJob("a", (PlainText("Once upon a time"),), SamplingParams(temperature=0), max_tokens=40)
    alone = load_engine(EngineConfig(ember_path, n_ctx=1024, n_draft=0), on_progress=lambda _fraction: True)
    expected = run(alone, job)
    alone.close()
    # Its own best guesser.
    engine = load_engine(_load(ember_path, ember_path), on_progress=lambda _fraction: True)
    result = run(engine, job)
    engine.close()
    assert result.texts == expected.texts
    assert result.done("a").usage.accepted_tokens > 0


def test_a_draft_model_that_can_not_guess_for_this_one_is_refused(ember_path: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelLoadFailed, match="does not exist"):
        load_engine(_load(ember_path, tmp_path / "missing.gguf"), on_progress=lambda _fraction: True)
    hybrid = write_lfm2(tmp_path / "hybrid.gguf", ember_path)
    with pytest.raises(ModelLoadFailed, match="plain attention"):
        load_engine(_load(ember_path, hybrid), on_progress=lambda _fraction: True)
    other = write_llama(tmp_path / "other.gguf", ember_path, reverse_tokens=True)
    with pytest.raises(ModelLoadFailed, match="another vocabulary"):
        load_engine(_load(ember_path, other), on_progress=lambda _fraction: True)
