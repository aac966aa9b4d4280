"""A real embedding model through our engine, against the same encoder in numpy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from app.domain.errors import ContextOverflow
from app.domain.generation import EmbeddingResult, Pooling, Truncation
from app.engine.engine import Engine
from app.engine.llama.model import LlamaModel
from app.engine.loading import load_engine
from app.engine.protocol import Embedded, EmbedJob, EngineConfig
from tests.minilm import MiniLm, minilm, minilm_path

__all__ = ["minilm", "minilm_path"]

Array = npt.NDArray[np.float32]

TEXTS = (
    "Hello world",
    "The quick brown fox jumps over the lazy dog.",
    "Don't stop; (really) – it's \"fine\"… 100% $5 x^2!",
    "Der Ärger über Öl, naïve café façade.",
    "русский текст и ελληνικά",
    "你好，世界！ こんにちは",
    "😀 emoji 🎉 party",
    "unbelievable antidisestablishmentarianism",
    "tabs\tand\nnewlines   and    spaces ",
    "<b>html</b> & [brackets] {a: 1}",
    "İstanbul ﬁ ligature zero\u200bwidth",
    "def add(a, b):\n    return a + b  # code",
    "A long text. It goes on for a while, and then for another. " * 12,
    "?",
)


@pytest.fixture(scope="module")
def engine(minilm_path: Path) -> Iterator[Engine]:
    config = EngineConfig(minilm_path, embedding=True, n_threads=1, n_gpu_layers=0)
    engine = load_engine(config, on_progress=lambda _: True)
    yield engine
    engine.close()


def embed(engine: Engine, *inputs: str | tuple[int, ...]) -> EmbeddingResult:
    engine.submit(engine.prepare(EmbedJob("job", inputs)))
    while True:
        for event in engine.step():
            assert isinstance(event, Embedded), event
            return event.result


def vectors(result: EmbeddingResult) -> list[Array]:
    return [np.frombuffer(vector, "<f4") for vector in result.vectors]


def test_the_model_is_known_for_what_it_is(engine: Engine) -> None:
    assert engine.info.embedding
    assert engine.info.n_embd == 384
    assert engine.info.n_ctx_train == 512


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_vectors_agree_with_the_reference(engine: Engine, minilm: MiniLm, text: str) -> None:
    tokens = minilm.tokens(text)
    result = embed(engine, text)
    (vector,) = vectors(result)
    assert result.prompt_tokens == len(tokens)
    assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)
    assert float(vector @ minilm.embed(tokens)) > 0.9999


def test_a_batch_gives_what_single_requests_give(engine: Engine, minilm: MiniLm) -> None:
    batch = embed(engine, *TEXTS)
    assert batch.prompt_tokens == sum(len(minilm.tokens(text)) for text in TEXTS)
    for text, together in zip(TEXTS, vectors(batch), strict=True):
        (alone,) = vectors(embed(engine, text))
        assert float(together @ alone) > 0.9999


def test_token_ids_are_taken_as_they_are(engine: Engine, minilm: MiniLm) -> None:
    tokens = tuple(minilm.tokens(TEXTS[1]))
    by_text, by_tokens = embed(engine, TEXTS[1]), embed(engine, tokens)
    assert by_tokens.prompt_tokens == by_text.prompt_tokens
    assert float(vectors(by_text)[0] @ vectors(by_tokens)[0]) > 0.9999


def test_like_is_nearer_than_unlike(engine: Engine) -> None:
    cat, kitten, tax = vectors(embed(engine, "A cat sleeps.", "The kitten is asleep.", "Tax returns are due in May."))
    assert float(cat @ kitten) > float(cat @ tax) + 0.3


def test_special_tokens_in_a_text_are_text(engine: Engine) -> None:
    """Otherwise a text could end its own sequence."""
    assert embed(engine, "[SEP] [CLS]").prompt_tokens > 4


def test_a_text_longer_than_the_model_takes_is_refused(engine: Engine) -> None:
    with pytest.raises(ContextOverflow) as caught:
        engine.prepare(EmbedJob("job", ("word " * 600,)))
    assert caught.value.n_ctx == 512


def test_a_long_text_is_cut_between_its_marks_and_counts_what_was_read(engine: Engine, minilm: MiniLm) -> None:
    text = "word " * 600
    tokens = minilm.tokens(text)
    engine.submit(engine.prepare(EmbedJob("job", (text,), Truncation.END)))
    (event,) = engine.step()
    assert isinstance(event, Embedded)
    assert event.result.prompt_tokens == 512
    assert float(vectors(event.result)[0] @ minilm.embed([*tokens[:511], tokens[-1]])) > 0.9999


def test_a_pair_of_texts_is_marked_as_llama_cpp_does_it(minilm_path: Path) -> None:
    """[CLS] query [SEP] document."""
    model = LlamaModel.load(minilm_path, n_gpu_layers=0, on_progress=lambda _: True)
    assert model is not None
    assert model.vocabulary.pair_marks == ((101,), (102,), ())
    assert model.pooling is Pooling.MEAN
    assert model.rerank_template is None
    model.close()
