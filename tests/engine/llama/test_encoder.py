"""Vectors and scores on tiny random models: what is computed together equals what is computed alone, and by hand."""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader, PoolingType

from app.domain.generation import Pooling
from app.engine.batch import Batch
from app.engine.decoder import DecodeResult, FloatArray
from app.engine.llama.backend import start_backend
from app.engine.llama.context import BatchView, ContextSize, open_context
from app.engine.llama.encoder import EncoderSize, LlamaEncoder, longest_input
from app.engine.llama.floats import floats_at
from app.engine.llama.model import LlamaModel
from tests.engine.tiny_models import write_bert, write_gemma3, write_lfm2, write_llama, write_qwen3

SIZE = EncoderSize(n_longest=128, n_packed=128, n_sequences=8, n_threads=1)
# Rounding differs with the shape of a batch and the order of cells.
NEAR = 0.02


@contextmanager
def _loaded(path: Path) -> Iterator[LlamaModel]:
    model = LlamaModel.load(path, n_gpu_layers=0, on_progress=lambda _fraction: True)
    assert model is not None
    yield model
    model.close()


@contextmanager
def _encoder(model: LlamaModel, pooling: Pooling | None = None, size: EncoderSize = SIZE) -> Iterator[LlamaEncoder]:
    encoder = LlamaEncoder.open(model, size, n_ubatch=32, pooling=pooling)
    assert encoder is not None
    yield encoder
    encoder.close()


def _ids(seed: int, n: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(300, 2000, n).tolist())


def _rows(encoder: LlamaEncoder, *inputs: tuple[int, ...]) -> FloatArray:
    rows = encoder.encode(inputs)
    assert not isinstance(rows, DecodeResult)
    return rows


def _token_vectors(model: LlamaModel, ids: tuple[int, ...]) -> FloatArray:
    """A vector for each token, [n_tokens, n_embd], from llama.cpp without pooling."""

    def adjust(params: Any) -> None:
        params.embeddings, params.pooling_type = True, 0

    native = start_backend()
    context = open_context(model, ContextSize(128, 128, 128, 1, 1, n_outputs=128), adjust)
    batch = Batch(128)
    batch.add_chunk(np.asarray(ids, np.int32), position=0, sequence=0, output=False)
    batch.outputs[: len(ids)] = 1
    assert native.llama_decode(context, BatchView(native, batch).of(len(ids))) == 0
    vectors = [floats_at(native.llama_get_embeddings_ith(context, i), model.n_embd).copy() for i in range(len(ids))]
    native.llama_free(context)
    return np.stack(vectors)


def _pooled(vectors: FloatArray, pooling: Pooling) -> FloatArray:
    match pooling:
        case Pooling.MEAN:
            return np.asarray(vectors.mean(axis=0), np.float32)
        case Pooling.CLS:
            return np.asarray(vectors[0], np.float32)
        case _:
            return np.asarray(vectors[-1], np.float32)


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.CLS, Pooling.LAST])
@pytest.mark.parametrize("causal", [False, True], ids=["bert", "qwen3"])
def test_each_pooling_of_a_batch_is_that_of_each_input_alone_and_by_hand(
    ember_path: Path, tmp_path: Path, pooling: Pooling, causal: bool
) -> None:
    path = tmp_path / "model.gguf"
    kind = PoolingType[pooling.name]
    write_qwen3(path, ember_path, pooling=kind) if causal else write_bert(path, ember_path, pooling=kind)
    inputs = (_ids(1, 20), _ids(2, 7), _ids(3, 1), _ids(1, 20), _ids(4, 45))
    with _loaded(path) as model, _encoder(model) as encoder:
        assert encoder.pooling is pooling
        together = _rows(encoder, *inputs)
        assert together.shape == (5, 64)
        for ids, row in zip(inputs, together, strict=True):
            assert np.allclose(row, _rows(encoder, ids)[0], atol=NEAR)
            assert np.allclose(row, _pooled(_token_vectors(model, ids), pooling), atol=NEAR)
        assert not np.allclose(together[0], together[1], atol=0.1)


def test_a_pooling_can_be_chosen_against_the_files_own(ember_path: Path, tmp_path: Path) -> None:
    ids = _ids(1, 20)
    with _loaded(write_bert(tmp_path / "bert.gguf", ember_path)) as model:
        vectors = _token_vectors(model, ids)
        for pooling in (Pooling.MEAN, Pooling.CLS, Pooling.LAST):
            with _encoder(model, pooling) as encoder:
                assert np.allclose(_rows(encoder, ids)[0], _pooled(vectors, pooling), atol=NEAR)


@pytest.mark.parametrize("causal", [False, True], ids=["bert", "llama"])
def test_a_file_that_names_no_pooling_gets_the_one_that_suits_its_attention(
    ember_path: Path, tmp_path: Path, causal: bool
) -> None:
    path = tmp_path / "model.gguf"
    write_llama(path, ember_path) if causal else write_bert(path, ember_path, pooling=None)
    with _loaded(path) as model, _encoder(model) as encoder:
        assert model.pooling is None
        assert encoder.pooling is (Pooling.LAST if causal else Pooling.MEAN)


@pytest.mark.parametrize("write", [write_llama, write_gemma3, write_lfm2])
def test_models_that_write_make_vectors_whatever_their_memory_and_over_several_physical_batches(
    ember_path: Path, tmp_path: Path, write: Any
) -> None:
    inputs = (_ids(1, 100), _ids(2, 7), _ids(3, 20))
    with _loaded(write(tmp_path / "model.gguf", ember_path)) as model, _encoder(model) as encoder:
        together = _rows(encoder, *inputs)
        for ids, row in zip(inputs, together, strict=True):
            vector = _token_vectors(model, ids)[-1]
            assert float(row @ vector) / float(np.linalg.norm(row) * np.linalg.norm(vector)) > 0.999
            assert np.allclose(row, _rows(encoder, ids)[0], atol=NEAR)


def test_scores_of_a_batch_are_those_of_each_pair_alone_and_by_hand(ember_path: Path, tmp_path: Path) -> None:
    path = write_bert(tmp_path / "bert.gguf", ember_path, pooling=PoolingType.RANK, ranks=True)
    inputs = (_ids(1, 20), _ids(2, 7), _ids(3, 33))
    weights = _weights(path)
    with _loaded(path) as model, _encoder(model) as encoder:
        together = _rows(encoder, *inputs)
        assert together.shape == (3, 1)
        for ids, row in zip(inputs, together, strict=True):
            assert np.allclose(row, _rows(encoder, ids)[0], atol=NEAR)
            hidden = np.tanh(weights["cls.weight"] @ _token_vectors(model, ids)[0] + weights["cls.bias"])
            logit = float((weights["cls.output.weight"] @ hidden + weights["cls.output.bias"])[0])
            assert float(row[0]) == pytest.approx(1 / (1 + np.exp(-logit)), abs=NEAR)


def test_the_head_of_a_file_that_names_no_pooling_is_used_where_it_is_asked_for(ember_path: Path, tmp_path: Path) -> None:
    named = write_bert(tmp_path / "named.gguf", ember_path, pooling=PoolingType.RANK, ranks=True)
    unnamed = write_bert(tmp_path / "unnamed.gguf", ember_path, pooling=None, ranks=True)
    scores = []
    for path, pooling in ((named, None), (unnamed, Pooling.RANK)):
        with _loaded(path) as model, _encoder(model, pooling) as encoder:
            scores.append(_rows(encoder, _ids(1, 20)))
    assert np.allclose(*scores, atol=1e-6)


def test_a_reranker_that_answers_yes_or_no_gives_the_probability_of_yes(ember_path: Path, tmp_path: Path) -> None:
    path = write_qwen3(tmp_path / "m.gguf", ember_path, pooling=PoolingType.RANK, rerank_template="{query}{document}")
    inputs = (_ids(1, 60), _ids(2, 7))
    head = _weights(path)["cls.output.weight"]
    with _loaded(path) as model, _encoder(model) as encoder:
        assert model.class_labels == ("no", "yes")
        assert model.rerank_template == "{query}{document}"
        for ids, row in zip(inputs, _rows(encoder, *inputs), strict=True):
            logits = head @ _token_vectors(model, ids)[-1]
            odds = np.exp(logits - logits.max())
            assert float(row[0]) == pytest.approx(odds[1] / odds.sum(), abs=NEAR)


def test_the_longest_input_is_what_the_model_knows_unless_its_rows_would_take_too_much_memory(
    ember_path: Path, tmp_path: Path
) -> None:
    with _loaded(write_bert(tmp_path / "bert.gguf", ember_path)) as bert:
        assert longest_input(bert, None, 0) == 128
        assert longest_input(bert, None, 50) == 50
        assert longest_input(bert, None, 5000) == 128
    with _loaded(write_qwen3(tmp_path / "q.gguf", ember_path, pooling=PoolingType.LAST)) as causal:
        memory = 4 * (2048 + 64) * 700
        assert longest_input(causal, None, 0, rows_bytes=memory) == 2048
        assert longest_input(causal, Pooling.MEAN, 0, rows_bytes=memory) == 700
        assert longest_input(causal, Pooling.MEAN, 1500, rows_bytes=memory) == 1500


def test_a_running_computation_can_be_interrupted_from_another_thread(ember_path: Path, tmp_path: Path) -> None:
    size = EncoderSize(n_longest=2000, n_packed=512, n_sequences=4, n_threads=1)
    path = write_qwen3(tmp_path / "q.gguf", ember_path, pooling=PoolingType.LAST)
    with _loaded(path) as model, _encoder(model, size=size) as encoder:
        over = threading.Event()

        def insist() -> None:
            while not over.is_set():
                encoder.interrupt()

        thread = threading.Thread(target=insist)
        thread.start()
        result = encoder.encode([_ids(1, 2000)])
        over.set()
        thread.join()
        if platform.system() == "Linux" and platform.machine() == "x86_64":
            assert result is DecodeResult.ABORTED
        again = _rows(encoder, _ids(2, 9))
        assert np.allclose(again, _token_vectors(model, _ids(2, 9))[-1], atol=NEAR)


def _weights(path: Path) -> dict[str, FloatArray]:
    return {tensor.name: np.array(tensor.data) for tensor in GGUFReader(path).tensors if tensor.name.startswith("cls")}
