from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import EngineBusy, GenerationFailed, UnsupportedContent
from app.engine.decoder import DecodeResult
from app.engine.embedder import RerankFormat
from app.engine.embedding import EmbeddingScheduler, LazyEncoder, PreparedEmbedding
from app.engine.engine import Engine
from app.engine.protocol import Embedded, EmbedJob, JobEvent, JobFailed, Reranked, RerankJob
from tests.engine.fakes import FakeDecoder, FakeEncoder, fake_embedder, fake_engine, say


def _run(engine: Engine, *jobs: EmbedJob | RerankJob) -> dict[str, JobEvent]:
    for job in jobs:
        engine.submit(engine.prepare(job))
    events: dict[str, JobEvent] = {}
    while engine.busy:
        events |= {event.id: event for event in engine.step()}
    return events


def _vectors(event: JobEvent) -> list[tuple[float, ...]]:
    assert isinstance(event, Embedded), event
    return [tuple(np.frombuffer(vector, "<f4").tolist()) for vector in event.result.vectors]


def test_vectors_come_in_the_order_of_their_inputs_with_length_one() -> None:
    event = _run(fake_embedder(FakeEncoder()), EmbedJob("a", ((3, 4), (1,))))["a"]
    one, two = _vectors(event)
    assert one == pytest.approx(np.array([7, 2]) / np.hypot(7, 2))
    assert two == pytest.approx(np.array([1, 1]) / np.sqrt(2))
    assert isinstance(event, Embedded)
    assert event.result.prompt_tokens == 3


def test_inputs_of_several_requests_share_batches_that_hold_them_whole() -> None:
    encoder = FakeEncoder(n_tokens_packed=10)
    events = _run(fake_embedder(encoder), EmbedJob("a", ((1,) * 6, (2,) * 6)), EmbedJob("b", ((3,) * 4, (4,))))
    assert set(events) == {"a", "b"}
    assert [[len(ids) for ids in batch] for batch in encoder.batches] == [[6, 4], [1, 6]]


def test_an_input_that_fills_more_than_a_batch_is_computed_alone() -> None:
    encoder = FakeEncoder(n_tokens_packed=10)
    _run(fake_embedder(encoder), EmbedJob("a", ((1,) * 30, (2,))))
    assert [[len(ids) for ids in batch] for batch in encoder.batches] == [[30], [1]]


def test_a_request_without_inputs_has_no_vectors() -> None:
    assert _vectors(_run(fake_embedder(FakeEncoder()), EmbedJob("a", ()))["a"]) == []


def test_scores_come_in_the_order_of_their_documents() -> None:
    engine = fake_embedder(FakeEncoder(), rerank_format=RerankFormat())
    event = _run(engine, RerankJob("a", "\1", ("\5", "\2\2\2", "\1")))["a"]
    assert isinstance(event, Reranked)
    assert event.result.scores == (6.0, 7.0, 2.0)
    assert event.result.prompt_tokens == 8


def test_a_refused_batch_fails_only_the_request_of_the_guilty_input() -> None:
    encoder = FakeEncoder()
    encoder.guilty = {9}
    events = _run(fake_embedder(encoder), EmbedJob("a", ((1,), (2,))), EmbedJob("b", ((9,), (3,))), EmbedJob("c", ((4,),)))
    assert len(_vectors(events["a"])) == 2
    assert len(_vectors(events["c"])) == 1
    failed = events["b"]
    assert isinstance(failed, JobFailed)
    assert isinstance(failed.error, GenerationFailed)


def test_the_engine_goes_on_after_a_failure() -> None:
    encoder = FakeEncoder()
    engine = fake_embedder(encoder)
    encoder.results = [DecodeResult.FAILED]
    assert isinstance(_run(engine, EmbedJob("a", ((1,),)))["a"], JobFailed)
    assert isinstance(_run(engine, EmbedJob("b", ((1,),)))["b"], Embedded)


def test_an_interruption_that_came_too_late_costs_nobody_an_answer() -> None:
    encoder = FakeEncoder()
    encoder.results = [DecodeResult.ABORTED, DecodeResult.ABORTED]
    assert isinstance(_run(fake_embedder(encoder), EmbedJob("a", ((1,),)))["a"], Embedded)


def test_a_cancelled_request_is_not_computed() -> None:
    encoder = FakeEncoder()
    engine = fake_embedder(encoder)
    engine.submit(engine.prepare(EmbedJob("a", ((1,), (2,)))))
    engine.cancel("a")
    assert _run(engine, EmbedJob("b", ((3,),))).keys() == {"b"}
    assert encoder.batches == [[(3,)]]


def test_a_request_that_is_cancelled_among_others_leaves_them_alone() -> None:
    encoder = FakeEncoder(n_tokens_packed=4)
    encoder.results = [DecodeResult.FAILED]
    engine = fake_embedder(encoder)
    for job in (EmbedJob("a", ((1, 1), (2,) * 9)), EmbedJob("b", ((3, 3),))):
        engine.submit(engine.prepare(job))
    engine.step()
    engine.cancel("a")
    assert _run(engine).keys() == {"b"}
    assert not any((1, 1) in batch for batch in encoder.batches[1:])


class _Asking(FakeEncoder):
    """Interrupts a job while it computes."""

    engine: Engine
    job = ""

    def encode(self, inputs: object) -> object:  # type: ignore[override]
        self.engine.interrupt(self.job)
        return super().encode(inputs)  # type: ignore[arg-type]


@pytest.mark.parametrize(("jobs", "interrupted"), [(("a",), 1), (("a", "b"), 0), (("b",), 0)])
def test_only_a_computation_for_the_leaving_request_alone_is_cut_short(jobs: tuple[str, ...], interrupted: int) -> None:
    encoder = _Asking()
    encoder.engine, encoder.job = fake_embedder(encoder), "a"
    _run(encoder.engine, *(EmbedJob(job, ((1,),)) for job in jobs))
    assert encoder.interrupted == interrupted


def test_too_many_requests_are_refused() -> None:
    scheduler = EmbeddingScheduler(FakeEncoder())
    for number in range(256):
        scheduler.submit(PreparedEmbedding(str(number), ((1,),)))
    with pytest.raises(EngineBusy):
        scheduler.submit(PreparedEmbedding("one more", ((1,),)))


def test_a_lazy_encoder_is_opened_once_by_the_first_use() -> None:
    opened: list[FakeEncoder] = []

    def opener() -> FakeEncoder:
        opened.append(FakeEncoder())
        return opened[-1]

    lazy = LazyEncoder(opener, n_tokens_packed=16, n_sequences=4)
    engine = fake_embedder(lazy)
    engine.interrupt("nobody")
    assert opened == []
    _run(engine, EmbedJob("a", ((1,),)))
    _run(engine, EmbedJob("b", ((1,),)))
    lazy.close()
    lazy.close()
    assert [encoder.closed for encoder in opened] == [True]


def test_a_lazy_encoder_that_can_not_be_opened_fails_who_asked_and_is_tried_again() -> None:
    tries: list[FakeEncoder | None] = [None, FakeEncoder()]
    engine = fake_embedder(LazyEncoder(lambda: tries.pop(0), n_tokens_packed=16, n_sequences=4))
    failed = _run(engine, EmbedJob("a", ((1,),)))["a"]
    assert isinstance(failed, JobFailed)
    assert "memory" in str(failed.error)
    assert isinstance(_run(engine, EmbedJob("b", ((1,),)))["b"], Embedded)


def test_models_are_refused_for_what_they_are_not_made_for() -> None:
    with pytest.raises(UnsupportedContent, match="can't write"):
        fake_embedder(FakeEncoder()).prepare(say("a", "x"))
    with pytest.raises(UnsupportedContent, match="can't rank"):
        fake_embedder(FakeEncoder()).prepare(RerankJob("a", "x", ("y",)))
    with pytest.raises(UnsupportedContent, match="makes no embeddings"):
        fake_embedder(FakeEncoder(), rerank_format=RerankFormat()).prepare(EmbedJob("a", ("x",)))
    with pytest.raises(UnsupportedContent):
        fake_engine(FakeDecoder()).prepare(EmbedJob("a", ("x",)))


_INPUTS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=30).map(tuple), max_size=8).map(tuple)


@given(
    st.lists(st.tuples(_INPUTS, st.integers(0, 6), st.booleans()), max_size=6),
    st.integers(1, 24),
    st.integers(1, 4),
    st.sets(st.integers(1, 9), max_size=2),
)
def test_whatever_comes_and_goes_each_request_gets_its_own_answer(
    requests: list[tuple[tuple[tuple[int, ...], ...], int, bool]], n_tokens: int, n_sequences: int, guilty: set[int]
) -> None:
    """Requests arrive at some step; some are cancelled one step later."""
    encoder = FakeEncoder(n_tokens_packed=n_tokens, n_sequences=n_sequences)
    encoder.guilty = guilty
    scheduler = EmbeddingScheduler(encoder)
    events: list[JobEvent] = []
    leaving = {str(number) for number, (_, _, leaves) in enumerate(requests) if leaves}
    for step in count():
        for number, (inputs, start, _) in enumerate(requests):
            if start == step:
                scheduler.submit(PreparedEmbedding(str(number), inputs))
            if start == step - 1 and str(number) in leaving:
                scheduler.cancel(str(number))
        events += scheduler.step()
        if step > 7 and not scheduler.busy:
            break
    ended = [event.id for event in events]
    assert len(ended) == len(set(ended))
    assert {str(number) for number in range(len(requests))} - leaving <= set(ended)
    for event in events:
        inputs = requests[int(event.id)][0]
        if any(guilty.intersection(ids) for ids in inputs):
            assert isinstance(event, JobFailed)
        else:
            expected = [np.array([sum(ids), len(ids)]) / np.hypot(sum(ids), len(ids)) for ids in inputs]
            assert np.allclose(_vectors(event), expected) if expected else _vectors(event) == []
