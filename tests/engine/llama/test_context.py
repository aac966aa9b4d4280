"""Models of every kind of memory: what is computed on top of kept tokens equals what is computed from nothing."""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.domain.generation import SamplingParams, TokenLogprob
from app.domain.prompt import TokenIds
from app.engine.decoder import DecodeResult, MemoryKind
from app.engine.engine import Engine
from app.engine.llama.context import ContextSize, LlamaDecoder
from app.engine.llama.model import LlamaModel
from app.engine.loading import load_engine
from app.engine.protocol import EngineConfig, GenerateJob, Tokens
from tests.engine.fakes import run

# Rounding differs with the shape of a batch and the order of cells.
NEAR = 0.02


def _load(path: Path) -> Engine:
    # Without flash attention: with it, log probabilities of the tiny models move by up to 0.08 with the order of cells alone,
    # nothing being shared, cut or restored; without it by 0.002. One wrong token in memory moves them by 0.03 to 2.
    config = EngineConfig(path, n_ctx=2048, n_parallel=2, n_ubatch=64, flash_attention=False)
    return load_engine(config, on_progress=lambda _fraction: True)


@pytest.fixture(scope="module")
def used(tiny_path: Path) -> Iterator[Engine]:
    engine = _load(tiny_path)
    yield engine
    engine.close()


@pytest.fixture
def fresh(tiny_path: Path) -> Iterator[Engine]:
    engine = _load(tiny_path)
    yield engine
    engine.close()


def _ids(seed: int, n: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(300, 2000, n).tolist())


def _answer(engine: Engine, ids: tuple[int, ...], n: int = 12) -> tuple[list[TokenLogprob], int]:
    job = GenerateJob("x", (TokenIds(ids),), SamplingParams(temperature=0), max_tokens=n, top_logprobs=5, add_special=False)
    result = run(engine, job)
    chosen = [piece.logprob for event in result.events if isinstance(event, Tokens) for piece in event.pieces]
    return [one for one in chosen if one is not None], result.done("x").usage.cached_tokens


def _same(a: list[TokenLogprob], b: list[TokenLogprob]) -> bool:
    pairs = list(zip(a, b, strict=True))
    return all(x.token_id == y.token_id and abs(x.logprob - y.logprob) < NEAR for x, y in pairs)


def test_a_conversation_that_goes_on_is_the_same_as_from_nothing(used: Engine, fresh: Engine) -> None:
    ids = _ids(1, 500)
    first, _ = _answer(used, ids)
    longer = (*ids, *[one.token_id for one in first], *_ids(2, 40))
    again, cached = _answer(used, longer)
    # The last token may have been guessed, and then been computed.
    assert cached in (len(ids) + len(first) - 1, len(ids) + len(first))
    assert _same(again, _answer(fresh, longer)[0])


@pytest.mark.parametrize("keep", [499, 450, 300, 60])
def test_a_prompt_that_departs_from_an_old_one_is_the_same_as_from_nothing(used: Engine, fresh: Engine, keep: int) -> None:
    _answer(used, _ids(3, 500))
    other = (*_ids(3, 500)[:keep], *_ids(keep, 30))
    assert _same(_answer(used, other)[0], _answer(fresh, other)[0])


def test_the_same_prompt_twice_is_the_same_answer(used: Engine) -> None:
    first, _ = _answer(used, _ids(5, 400))
    assert _same(first, _answer(used, _ids(5, 400))[0])


def test_requests_side_by_side_do_not_disturb_each_other(used: Engine, fresh: Engine) -> None:
    greedy = SamplingParams(temperature=0)
    prompts = [(*_ids(6, 100), *_ids(20 + i, 30 * i + 5)) for i in range(4)]
    jobs = [GenerateJob(str(i), (TokenIds(ids),), greedy, max_tokens=10) for i, ids in enumerate(prompts)]
    together = run(used, *jobs).ids
    for i, ids in enumerate(prompts):
        assert together[str(i)] == [one.token_id for one in _answer(fresh, ids, 10)[0]]


def test_the_kind_of_memory_is_known(tiny_path: Path) -> None:
    model = LlamaModel.load(tiny_path, n_gpu_layers=0, on_progress=lambda _fraction: True)
    assert model is not None
    decoder = LlamaDecoder.open(model, ContextSize(512, 256, 64, 3, 1, n_outputs=3))
    assert decoder is not None
    kinds = {"llama": MemoryKind.PLAIN, "gemma3": MemoryKind.WINDOWED, "lfm2": MemoryKind.RECURRENT}
    assert decoder.memory is kinds[model.architecture]
    decoder.close()
    model.close()


def _decoder(model: LlamaModel) -> LlamaDecoder:
    decoder = LlamaDecoder.open(model, ContextSize(256, 128, 64, 3, 1, n_outputs=3))
    assert decoder is not None
    return decoder


def test_too_many_tokens_leave_the_memory_as_it_was(ember_model: LlamaModel) -> None:
    decoder = _decoder(ember_model)
    chunk = np.arange(100, dtype=np.int32)
    results = []
    for start in (0, 100, 200):
        decoder.batch.clear()
        decoder.batch.add_chunk(chunk, position=start, sequence=0, output=True)
        results.append(decoder.decode())
    assert results == [DecodeResult.OK, DecodeResult.OK, DecodeResult.NO_SPACE]
    assert (decoder.next_position(0), decoder.first_position(0), decoder.first_position(1)) == (200, 0, -1)
    decoder.close()
    decoder.close()


def test_a_batch_with_a_gap_is_refused(ember_model: LlamaModel) -> None:
    decoder = _decoder(ember_model)
    for position in (0, 50):
        decoder.batch.clear()
        decoder.batch.add(5, position=position, sequence=0)
        last = decoder.decode()
    assert last is DecodeResult.INVALID
    decoder.close()


def test_logits_come_in_the_order_of_the_batch(ember_model: LlamaModel) -> None:
    decoder = _decoder(ember_model)
    ids = np.array(ember_model.vocabulary.tokenize("Once upon a time", parse_special=False), np.int32)
    alone = []
    for sequence, tokens in enumerate((ids, ids[:2])):
        decoder.batch.clear()
        decoder.batch.add_chunk(tokens, position=0, sequence=sequence, output=True)
        assert decoder.decode() is DecodeResult.OK
        alone.append(decoder.logits()[0].copy())
        decoder.clear()
    decoder.batch.clear()
    decoder.batch.add_chunk(ids, position=0, sequence=0, output=True)
    decoder.batch.add_chunk(ids[:2], position=0, sequence=1, output=True)
    assert decoder.decode() is DecodeResult.OK
    rows = decoder.logits()
    assert rows.shape == (2, 2048)
    assert np.allclose(rows[0], alone[0], atol=0.05)
    assert np.allclose(rows[1], alone[1], atol=0.05)
    decoder.close()


def test_a_running_computation_can_be_interrupted_from_another_thread(ember_model: LlamaModel) -> None:
    decoder = LlamaDecoder.open(ember_model, ContextSize(2048, 2000, 64, 1, 1, n_outputs=1))
    assert decoder is not None
    decoder.batch.add_chunk(np.full(2000, 7, np.int32), position=0, sequence=0, output=True)
    over = threading.Event()

    def insist() -> None:
        while not over.is_set():
            decoder.interrupt()

    thread = threading.Thread(target=insist)
    thread.start()
    result = decoder.decode()
    over.set()
    thread.join()
    supported = platform.system() == "Linux" and platform.machine() == "x86_64"
    assert result is (DecodeResult.ABORTED if supported else DecodeResult.OK)
    reached = decoder.next_position(0)
    assert reached < 2000 or not supported
    decoder.batch.clear()
    decoder.batch.add(7, position=reached, sequence=0)
    assert not supported or decoder.decode() is DecodeResult.OK
    decoder.close()
