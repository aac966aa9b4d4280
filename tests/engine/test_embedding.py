from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest

from app.domain.errors import ContextOverflow, GenerationFailed, InvalidRequest, UnsupportedContent
from app.engine.constraint import ConstraintCompiler
from app.engine.embedding import EmbeddingScheduler
from app.engine.engine import Engine
from app.engine.prompt import PromptTokenizer
from app.engine.protocol import Embedded, EmbedJob, JobEvent, JobFailed
from tests.engine.fakes import BOS, FakeDecoder, FakeEncoder, FakeVocabulary, fake_engine, model_info, say


def _engine(encoder: FakeEncoder) -> Engine:
    vocabulary = FakeVocabulary()
    return Engine(
        model_info(embedding=True),
        vocabulary=vocabulary,
        prompts=PromptTokenizer(vocabulary, None, model_name="Fake"),
        constraints=ConstraintCompiler(vocabulary, object),
        scheduler=EmbeddingScheduler(encoder),
        limit=encoder.n_tokens_max,
        resources=ExitStack(),
    )


def _run(engine: Engine, *jobs: EmbedJob) -> dict[str, JobEvent]:
    for job in jobs:
        engine.submit(engine.prepare(job))
    events: dict[str, JobEvent] = {}
    while engine.busy:
        events |= {event.id: event for event in engine.step()}
    return events


def test_vectors_come_in_the_order_of_their_inputs_with_length_one() -> None:
    event = _run(_engine(FakeEncoder()), EmbedJob("a", ((3, 4), (1,))))["a"]
    assert isinstance(event, Embedded)
    one, two = (np.frombuffer(vector, "<f4") for vector in event.result.vectors)
    assert one == pytest.approx(np.array([7, 2]) / np.hypot(7, 2))
    assert two == pytest.approx(np.array([1, 1]) / np.sqrt(2))
    assert event.result.prompt_tokens == 3


def test_inputs_of_several_requests_share_batches_that_hold_them_whole() -> None:
    encoder = FakeEncoder(n_tokens_max=10, n_sequences=4)
    events = _run(_engine(encoder), EmbedJob("a", ((1,) * 6, (2,) * 6)), EmbedJob("b", ((3,) * 4, (4,))))
    assert set(events) == {"a", "b"}
    assert [[len(ids) for ids in batch] for batch in encoder.batches] == [[6], [6, 4], [1]]


def test_texts_get_the_models_own_marks_but_never_control_tokens() -> None:
    encoder = FakeEncoder()
    _run(_engine(encoder), EmbedJob("a", ("<s>x",)))
    assert encoder.batches == [[(BOS, *b"<s>x")]]


def test_an_input_that_is_too_long_is_named() -> None:
    with pytest.raises(ContextOverflow) as caught:
        _engine(FakeEncoder(n_tokens_max=5)).prepare(EmbedJob("a", ((1,), (2,) * 6)))
    assert caught.value.param == "input[1]"


@pytest.mark.parametrize("bad", [(), (999,), (-1,)])
def test_inputs_that_can_not_be_are_refused(bad: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest):
        _engine(FakeEncoder()).prepare(EmbedJob("a", (bad,)))


def test_a_refused_batch_fails_the_requests_in_it() -> None:
    encoder = FakeEncoder()
    engine = _engine(encoder)
    encoder.refuse = True
    event = _run(engine, EmbedJob("a", ((1,),)))["a"]
    assert isinstance(event, JobFailed)
    assert isinstance(event.error, GenerationFailed)
    encoder.refuse = False
    assert isinstance(_run(engine, EmbedJob("b", ((1,),)))["b"], Embedded)


def test_a_cancelled_request_is_not_computed() -> None:
    encoder = FakeEncoder()
    engine = _engine(encoder)
    engine.submit(engine.prepare(EmbedJob("a", ((1,), (2,)))))
    engine.cancel("a")
    assert _run(engine, EmbedJob("b", ((3,),))).keys() == {"b"}
    assert encoder.batches == [[(3,)]]


def test_models_are_refused_for_what_they_are_not_made_for() -> None:
    with pytest.raises(UnsupportedContent):
        _engine(FakeEncoder()).prepare(say("a", "x"))
    with pytest.raises(UnsupportedContent):
        fake_engine(FakeDecoder()).prepare(EmbedJob("a", ("x",)))
