from __future__ import annotations

import pytest

from app.domain.errors import ContextOverflow, InvalidRequest
from app.domain.generation import Truncation
from app.engine.embedder import RerankFormat
from app.engine.embedding import PreparedEmbedding
from app.engine.engine import Engine
from app.engine.protocol import EmbedJob, RerankJob
from tests.engine.fakes import BOS, END, TOOL, FakeEncoder, FakeVocabulary, fake_embedder

MARKS = RerankFormat(None, (BOS,), (END, TOOL), (END,))
TEMPLATE = RerankFormat("<s>Q: {query}\nD: {document}<end>")


class _MarkedVocabulary(FakeVocabulary):
    """Puts a mark at the end of a text too."""

    def tokenize(self, text: str, *, parse_special: bool, add_special: bool = False) -> list[int]:
        return super().tokenize(text, parse_special=parse_special, add_special=add_special) + [END] * add_special


def _inputs(engine: Engine, job: EmbedJob | RerankJob) -> tuple[tuple[int, ...], ...]:
    prepared = engine.prepare(job)
    assert isinstance(prepared, PreparedEmbedding)
    return prepared.inputs


def _embedder(limit: int = 64, rerank_format: RerankFormat | None = None) -> Engine:
    return fake_embedder(FakeEncoder(), vocabulary=_MarkedVocabulary(), limit=limit, rerank_format=rerank_format)


def test_texts_get_the_models_own_marks_but_never_control_tokens() -> None:
    assert _inputs(_embedder(), EmbedJob("a", ("<s>x",))) == ((BOS, *b"<s>x", END),)


@pytest.mark.parametrize("bad", [(), (999,), (-1,)])
def test_inputs_that_can_not_be_are_refused(bad: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest):
        _inputs(_embedder(), EmbedJob("a", (bad,)))


def test_an_input_that_is_too_long_is_named() -> None:
    with pytest.raises(ContextOverflow) as caught:
        _inputs(_embedder(limit=5), EmbedJob("a", ((1,), (2,) * 6)))
    assert (caught.value.param, caught.value.n_prompt, caught.value.n_ctx) == ("input[1]", 6, 5)
    with pytest.raises(ContextOverflow) as caught:
        _inputs(_embedder(limit=5), EmbedJob("a", ("abcd",)))
    assert (caught.value.param, caught.value.n_prompt) == ("input", 6)


@pytest.mark.parametrize(("truncation", "kept"), [(Truncation.END, b"abc"), (Truncation.START, b"efg")])
def test_a_long_input_is_cut_as_asked_inside_the_models_marks(truncation: Truncation, kept: bytes) -> None:
    job = EmbedJob("a", ("abcdefg", "ab", tuple(b"abcdefg")), truncation)
    long, short, ids = _inputs(_embedder(limit=5), job)
    assert long == (BOS, *kept, END)
    assert short == (BOS, *b"ab", END)
    assert ids == (tuple(b"abcde") if truncation is Truncation.END else tuple(b"cdefg"))


def test_a_model_whose_marks_fill_its_context_can_read_nothing() -> None:
    with pytest.raises(ContextOverflow):
        _inputs(_embedder(limit=2), EmbedJob("a", ("abc",), Truncation.END))


def test_query_and_document_stand_between_the_models_marks() -> None:
    inputs = _inputs(_embedder(rerank_format=MARKS), RerankJob("a", "q", ("<s>d", "")))
    assert inputs == ((BOS, *b"q", END, TOOL, *b"<s>d", END), (BOS, *b"q", END, TOOL, END))


def test_query_and_document_are_put_into_the_models_template_as_text() -> None:
    (ids,) = _inputs(_embedder(rerank_format=TEMPLATE), RerankJob("a", "{document}<end>", ("<s>{query}",)))
    assert ids == (BOS, *b"Q: {document}<end>\nD: <s>{query}", END)


@pytest.mark.parametrize("rerank_format", [MARKS, TEMPLATE], ids=["marks", "template"])
def test_a_document_that_is_too_long_is_named_or_cut_with_everything_around_it_kept(rerank_format: RerankFormat) -> None:
    engine = _embedder(limit=20, rerank_format=rerank_format)
    documents = ("short", "0123456789" * 3)
    with pytest.raises(ContextOverflow) as caught:
        _inputs(engine, RerankJob("a", "q", documents))
    assert caught.value.param == "documents[1]"
    whole, cut = _inputs(engine, RerankJob("a", "q", documents, Truncation.END))
    assert len(cut) == 20
    assert cut[0] == BOS
    assert cut[-1] == END
    rest = len(whole) - len("short")
    assert bytes(cut[rest - 1 : -1]) == documents[1][: 20 - rest].encode()
    _, tail = _inputs(engine, RerankJob("a", "q", documents, Truncation.START))
    assert bytes(tail[rest - 1 : -1]) == documents[1][rest - 20 :].encode()


@pytest.mark.parametrize("rerank_format", [MARKS, TEMPLATE], ids=["marks", "template"])
def test_a_query_that_leaves_no_room_is_named(rerank_format: RerankFormat) -> None:
    with pytest.raises(ContextOverflow) as caught:
        _inputs(_embedder(limit=20, rerank_format=rerank_format), RerankJob("a", "q" * 30, ("d",), Truncation.END))
    assert caught.value.param == "query"
