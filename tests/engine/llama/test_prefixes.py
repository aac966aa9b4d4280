"""Beginnings that are shared, saved and put back, on models of every kind of memory: always as if computed from nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.domain.generation import SamplingParams, TokenLogprob
from app.domain.prompt import Picture, PlainText, TokenIds
from app.engine.decoder import MemoryKind
from app.engine.engine import Engine
from app.engine.llama.context import ContextSize, LlamaDecoder
from app.engine.llama.model import LlamaModel
from app.engine.loading import load_engine
from app.engine.protocol import EngineConfig, GenerateJob, Tokens
from tests.engine.fakes import Run, run

# Rounding differs with the shape of a batch and the order of cells.
NEAR = 0.02
GREEDY = SamplingParams(temperature=0)

Load = Callable[..., Engine]


@pytest.fixture
def load(tiny_path: Path) -> Iterator[Load]:
    engines: list[Engine] = []

    def make(**options: object) -> Engine:
        config = replace(EngineConfig(tiny_path, n_ctx=2048, n_parallel=3, n_ubatch=64, flash_attention=False), **options)  # type: ignore[arg-type]
        engines.append(load_engine(config, on_progress=lambda _fraction: True))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def _ids(seed: int, n: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(300, 2000, n).tolist())


def _job(name: str, ids: tuple[int, ...], n: int = 10, **options: object) -> GenerateJob:
    job = GenerateJob(name, (TokenIds(ids),), GREEDY, max_tokens=n, top_logprobs=2, add_special=False)
    return replace(job, **options)  # type: ignore[arg-type]


def _logprobs(result: Run, name: str) -> list[TokenLogprob]:
    events = [event for event in result.events if isinstance(event, Tokens) and event.id == name]
    return [piece.logprob for event in events for piece in event.pieces if piece.logprob is not None]


def _assert_same(result: Run, fresh: Engine, *jobs: GenerateJob) -> None:
    for job in jobs:
        alone = run(fresh, job)
        assert alone.done(job.id).usage.cached_tokens == 0
        for ours, theirs in zip(_logprobs(result, job.id), _logprobs(alone, job.id), strict=True):
            assert abs(ours.logprob - theirs.logprob) < NEAR
            if ours.token_id != theirs.token_id:
                # As good as equally likely; from here on the texts differ.
                assert theirs.top[0].logprob - theirs.top[1].logprob < NEAR
                break


def _fresh(load: Load) -> Engine:
    """An engine that remembers nothing from one job to the next."""

    class Forgetful:
        def __getattr__(self, name: str) -> object:
            return getattr(engine, name)

        def prepare(self, job: GenerateJob) -> object:
            engine._scheduler.cache.clear()  # type: ignore[union-attr]
            return engine.prepare(job)

    engine = load(n_draft=0, cache_memory_bytes=0)
    return Forgetful()  # type: ignore[return-value]


def test_clients_with_one_system_prompt_compute_it_once(load: Load) -> None:
    engine = load()
    jobs = [_job(str(i), (*_ids(1, 300), *_ids(20 + i, 20 * i + 5))) for i in range(5)]
    result = run(engine, *jobs)
    assert [result.done(job.id).usage.cached_tokens for job in jobs] == [0, 300, 300, 300, 300]
    _assert_same(result, _fresh(load), *jobs)


def test_several_answers_to_one_prompt_compute_it_once(load: Load) -> None:
    jobs = [_job(name, _ids(2, 200)) for name in "abc"]
    result = run(load(), *jobs)
    # Models that can't be cut anywhere go back to the last checkpoint.
    assert all(result.done(name).usage.cached_tokens >= 196 for name in "bc")
    _assert_same(result, _fresh(load), *jobs)


def test_the_second_departure_from_the_same_beginning_is_free(load: Load) -> None:
    """Nobody knows at first where prompts will depart; whoever does leaves a checkpoint for the next."""
    engine = load()
    run(engine, _job("first", _ids(3, 400)))
    for name, seed in (("second", 30), ("third", 31)):
        job = _job(name, (*_ids(3, 400)[:150], *_ids(seed, 100)))
        result = run(engine, job)
        _assert_same(result, _fresh(load), job)
    assert result.done("third").usage.cached_tokens == 150


def test_two_long_conversations_in_turn_are_both_kept(load: Load) -> None:
    engine = load(n_ctx=512, n_parallel=1)
    texts = {name: _ids(seed, 300) for name, seed in (("a", 40), ("b", 41))}
    for round_ in range(3):
        for name in texts:
            job = _job(f"{name}{round_}", texts[name], 6)
            result = run(engine, job)
            if round_:
                assert result.done(job.id).usage.cached_tokens >= len(texts[name]) - 20
            _assert_same(result, _fresh(load), job)
            texts[name] += (*result.ids[job.id], *_ids(50 + round_, 12))
    assert engine.stats().saved_bytes > 0


@pytest.mark.parametrize("keep", [299, 285, 250])
def test_a_prompt_that_departs_from_one_kept_on_the_host_is_as_from_nothing(load: Load, keep: int) -> None:
    engine = load(n_ctx=512, n_parallel=1)
    for seed in (45, 46):
        run(engine, _job("before", _ids(seed, 300), 4))
    job = _job("a", (*_ids(45, 300)[:keep], *_ids(47, 20)), 4)
    _assert_same(run(engine, job), _fresh(load), job)


def test_requests_that_had_to_wait_go_on_exactly(load: Load) -> None:
    engine = load(n_ctx=512, n_draft=0)
    jobs = [_job(name, _ids(60 + i, 120), 90) for i, name in enumerate("abc")]
    result = run(engine, *jobs)
    assert engine.stats().preempted > 0
    # Nothing was computed twice: each token of each request but the last, once.
    assert all(result.done(name).usage.completion_tokens == 90 for name in "abc")
    _assert_same(result, _fresh(load), *jobs)


def test_a_conversation_opens_after_a_restart_without_being_read_again(load: Load, tmp_path: Path) -> None:
    kept: dict[str, object] = {"cache_folder": tmp_path / "prompts", "cache_disk_bytes": 2**30}
    first = load(**kept)
    answered = run(first, _job("a", _ids(70, 400), owner="chat"))
    other = run(first, _job("b", _ids(71, 100)))
    first.keep()
    assert len(list((tmp_path / "prompts").iterdir())) == 1
    longer = (*_ids(70, 400), *answered.ids["a"], *_ids(72, 20))
    second = load(**kept)
    job = _job("c", longer, owner="chat")
    result = run(second, job)
    assert result.done("c").usage.cached_tokens >= 409
    _assert_same(result, _fresh(load), job)
    assert run(second, _job("d", (*_ids(71, 100), *other.ids["b"], 5), owner="other")).done("d").usage.cached_tokens == 0


def test_a_kept_prompt_that_llama_refuses_is_read_again(load: Load, tmp_path: Path) -> None:
    kept: dict[str, object] = {"cache_folder": tmp_path, "cache_disk_bytes": 2**30}
    engine = load(**kept)
    job = _job("a", _ids(80, 300), owner="chat")
    run(engine, job)
    engine.keep()
    reader = load(**kept)
    prepared = reader.prepare(job)
    damaged = prepared.saved.data.copy()  # type: ignore[union-attr]
    damaged[:64] = 255
    prepared = replace(prepared, saved=replace(prepared.saved, data=damaged))  # type: ignore[type-var,union-attr]
    reader.submit(prepared)
    result = run(reader)
    assert result.done("a").usage.completion_tokens == 10
    _assert_same(result, _fresh(load), job)


def test_a_forgotten_conversation_leaves_nothing(load: Load, tmp_path: Path) -> None:
    engine = load(cache_folder=tmp_path, cache_disk_bytes=2**30)
    run(engine, _job("a", _ids(90, 200), owner="chat"))
    engine.forget("chat")
    assert run(engine, _job("b", _ids(90, 200))).done("b").usage.cached_tokens == 0
    engine.keep()
    assert not list(tmp_path.iterdir())


def test_checkpoints_and_copies_are_exact_in_llama_itself(tiny_path: Path) -> None:
    model = LlamaModel.load(tiny_path, n_gpu_layers=0, on_progress=lambda _fraction: True)
    assert model is not None
    decoder = LlamaDecoder.open(model, ContextSize(1024, 256, 64, 4, 1, n_outputs=4))
    assert decoder is not None
    ids = np.array(_ids(100, 200), np.int32)

    def compute(sequence: int, start: int, end: int) -> np.ndarray:  # type: ignore[type-arg]
        decoder.batch.clear()
        decoder.batch.add_chunk(ids[start:end], position=start, sequence=sequence, output=True)
        decoder.decode()
        return decoder.logits()[0].copy()

    compute(0, 0, 128)
    checkpoint = decoder.save(0, uncuttable=True)
    whole = decoder.save(0)
    expected = compute(0, 128, 200)
    assert whole is not None
    assert decoder.restore(1, whole)
    assert np.abs(compute(1, 128, 200) - expected).max() < NEAR
    if decoder.memory is not MemoryKind.PLAIN:
        assert checkpoint is not None
        assert len(checkpoint) < len(whole)
        decoder.copy(0, 2, 128)
        assert decoder.restore(2, checkpoint, uncuttable=True)
        assert decoder.remove(2, 128)
        assert np.abs(compute(2, 128, 200) - expected).max() < NEAR
    assert not decoder.restore(3, whole[: len(whole) // 2].copy())
    assert decoder.next_position(3) == 0
    assert decoder.save(3) is not None
    decoder.close()
    model.close()


def test_a_picture_that_was_read_is_not_read_again_after_a_restart(
    ember_path: Path, ember_projector_path: Path, tmp_path: Path
) -> None:
    picture = (ember_path.parents[1] / "examples" / "red-circle.png").read_bytes()
    config = EngineConfig(
        ember_path, ember_projector_path, n_ctx=2048, cache_folder=tmp_path / "prompts", cache_disk_bytes=2**30
    )
    prompt = (Picture(picture), PlainText("What is in this picture? " * 12))
    job = GenerateJob("a", prompt, GREEDY, max_tokens=12, owner="chat")
    first = load_engine(config, on_progress=lambda _fraction: True)
    answer = run(first, job)
    first.keep()
    first.close()
    second = load_engine(config, on_progress=lambda _fraction: True)
    again = run(second, job)
    second.close()
    assert again.texts == answer.texts
    assert again.done("a").usage.cached_tokens == again.done("a").usage.prompt_tokens - 1


def test_a_kept_prompt_larger_than_the_hosts_budget_is_used_all_the_same(load: Load, tmp_path: Path) -> None:
    kept: dict[str, object] = {"cache_folder": tmp_path, "cache_disk_bytes": 2**30, "cache_memory_bytes": 4096}
    job = _job("a", _ids(110, 300), owner="chat")
    first = load(**kept)
    answer = run(first, job)
    first.keep()
    longer = _job("b", (*_ids(110, 300), *answer.ids["a"], *_ids(111, 20)), owner="chat")
    again = run(load(**kept), longer)
    assert again.done("b").usage.cached_tokens >= 309
    _assert_same(again, _fresh(load), longer)


def test_a_request_that_never_began_leaves_its_kept_prompt_to_the_next(load: Load, tmp_path: Path) -> None:
    kept: dict[str, object] = {"cache_folder": tmp_path, "cache_disk_bytes": 2**30, "cache_memory_bytes": 0}
    job = _job("a", _ids(120, 300), owner="chat")
    first = load(**kept)
    run(first, job)
    first.keep()
    second = load(**kept)
    second.submit(second.prepare(job))
    second.cancel("a")
    assert run(second, replace(job, id="b")).done("b").usage.cached_tokens == (299 if _cuts_anywhere(second) else 0)


def _cuts_anywhere(engine: Engine) -> bool:
    assert engine._scheduler is not None
    return engine._scheduler._decoder.memory is MemoryKind.PLAIN
