from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
from PIL import Image

from app.domain.errors import EngineBusy, GenerationFailed
from app.domain.generation import FinishReason, SamplingParams
from app.domain.prompt import Picture, PlainText
from app.engine.decoder import DecodeResult, FloatArray, MemoryKind
from app.engine.draft_model import DraftModel
from app.engine.engine import Engine
from app.engine.protocol import Done, GenerateJob, JobFailed, PromptProgress
from app.engine.scheduler import Scheduler
from tests.engine.fakes import END, FakeDecoder, FakeProjector, FakeVocabulary, fake_engine, letters, run, say


def _alone(text: str, n: int) -> str:
    """What the fake model writes after a text when nothing else happens."""
    tokens = list(text.encode())
    for _ in range(n):
        tokens.append(letters(tokens))
    return bytes(tokens[-n:]).decode()


def test_requests_of_all_clients_are_decoded_in_one_batch() -> None:
    decoder = FakeDecoder()
    jobs = [say(name, f"{name} asks", max_tokens=6) for name in "abcd"]
    result = run(fake_engine(decoder), *jobs)
    assert result.texts == {name: _alone(f"{name} asks", 6) for name in "abcd"}
    assert len(decoder.batches) == 6
    assert all(len(batch) == 4 for batch in decoder.batches)


def test_more_requests_than_places_wait_for_their_turn() -> None:
    engine = fake_engine(FakeDecoder(n_sequences=3), n_parallel=2)
    result = run(engine, *[say(str(i), f"{i}!", max_tokens=5) for i in range(7)])
    assert result.texts == {str(i): _alone(f"{i}!", 5) for i in range(7)}


def test_a_full_queue_is_refused() -> None:
    engine = fake_engine(FakeDecoder())
    prepared = [engine.prepare(say(str(i), "x")) for i in range(65)]
    for one in prepared[:64]:
        engine.submit(one)
    with pytest.raises(EngineBusy):
        engine.submit(prepared[64])


def test_a_follow_up_computes_only_what_is_new() -> None:
    decoder = FakeDecoder()
    engine = fake_engine(decoder)
    first = run(engine, say("1", "question", max_tokens=4)).texts["1"]
    second = run(engine, say("2", "question" + first + " and then?", max_tokens=4))
    # The last token of the answer was never computed.
    assert second.done("2").usage.cached_tokens == len("question") + 3
    assert second.texts["2"] == _alone("question" + first + " and then?", 4)


def test_the_same_prompt_again_computes_its_last_token_alone() -> None:
    engine = fake_engine(FakeDecoder())
    run(engine, say("1", "the same prompt"))
    again = run(engine, say("2", "the same prompt"))
    assert again.done("2").usage.cached_tokens == len("the same prompt") - 1
    assert again.texts["2"] == _alone("the same prompt", 8)


def test_prompts_that_begin_alike_are_computed_once_even_side_by_side() -> None:
    decoder = FakeDecoder()
    system = "s" * 200
    result = run(fake_engine(decoder), *[say(name, system + name, max_tokens=3) for name in "abc"])
    assert result.texts == {name: _alone(system + name, 3) for name in "abc"}
    assert sum(batch[0] for batch in decoder.batches if 0 in batch) >= 200
    assert sum(sum(batch.values()) for batch in decoder.batches) < 230


def test_running_answers_go_on_while_a_long_prompt_is_read() -> None:
    decoder = FakeDecoder(n_cells=4096)
    engine = fake_engine(decoder, limit=4000)
    engine.submit(engine.prepare(say("short", "go", max_tokens=40)))
    engine.step()
    engine.submit(engine.prepare(say("long", "x" * 900, max_tokens=1)))
    sizes = []
    while engine.busy:
        engine.step()
        sizes.append(sum(decoder.batches[-1].values()))
    assert max(sizes) <= 512
    assert decoder.batches[1][0] == 1


def test_reading_a_prompt_is_reported_until_it_is_done() -> None:
    events = run(fake_engine(FakeDecoder(n_batch=64)), say("a", "p" * 150, max_tokens=1)).events
    progress = [event for event in events if isinstance(event, PromptProgress)]
    assert [event.done for event in progress] == [0, 64, 128, 150]
    assert {event.total for event in progress} == {150}


def test_an_answer_that_fills_the_context_ends_with_length() -> None:
    result = run(fake_engine(FakeDecoder(), limit=20), say("a", "0123456789", max_tokens=None))
    assert result.done("a").reason is FinishReason.LENGTH
    assert result.done("a").usage.completion_tokens == 10


def test_parked_sequences_give_way_when_cells_run_short() -> None:
    decoder = FakeDecoder(n_cells=64)
    engine = fake_engine(decoder, limit=64)
    for i in range(6):
        text = f"{i}" * 30
        assert run(engine, say(str(i), text, max_tokens=10)).texts[str(i)] == _alone(text, 10)
    assert decoder.used_cells <= 64


def test_without_cells_the_youngest_waits_and_still_writes_the_same() -> None:
    decoder = FakeDecoder(n_cells=64)
    engine = fake_engine(decoder, limit=64)
    result = run(engine, *[say(name, name * 10, max_tokens=30) for name in "abc"])
    assert result.texts == {name: _alone(name * 10, 30) for name in "abc"}
    assert all(result.done(name).usage.completion_tokens == 30 for name in "abc")


def test_being_put_back_changes_no_draw() -> None:
    """The random state and what penalties have seen stay with the request."""
    sampling = SamplingParams(top_k=3, seed=5, ignore_eos=True, dry_multiplier=1.0, frequency_penalty=0.3)
    jobs = [say(name, name * 10, max_tokens=30, sampling=sampling) for name in "abc"]
    alone = {job.id: run(fake_engine(FakeDecoder(n_cells=64), limit=64), job).ids[job.id] for job in jobs}
    assert run(fake_engine(FakeDecoder(n_cells=64), limit=64), *jobs).ids == alone


@pytest.mark.parametrize("memory", [MemoryKind.WINDOWED, MemoryKind.RECURRENT])
def test_models_that_forget_are_never_cut_where_they_can_not_be(memory: MemoryKind) -> None:
    decoder = FakeDecoder(memory=memory, n_window=4, n_sequences=3)
    engine = fake_engine(decoder, n_parallel=2)
    first = run(engine, say("1", "a conversation", max_tokens=6)).texts["1"]
    goes_on = run(engine, say("2", "a conversation" + first + " goes on", max_tokens=6))
    assert goes_on.done("2").usage.cached_tokens == len("a conversation") + 5
    assert goes_on.texts["2"] == _alone("a conversation" + first + " goes on", 6)
    differs = run(engine, say("3", "a conversation that differs", max_tokens=6))
    assert differs.done("3").usage.cached_tokens == 0
    assert differs.texts["3"] == _alone("a conversation that differs", 6)


def test_cancelling_ends_a_request_without_an_event_and_leaves_the_others() -> None:
    decoder = FakeDecoder()
    engine = fake_engine(decoder)
    for name in "ab":
        engine.submit(engine.prepare(say(name, name, max_tokens=20)))
    engine.step()
    engine.cancel("a")
    rest = run(engine)
    assert "a" not in rest.ends
    assert rest.done("b").usage.completion_tokens == 20
    assert not engine.busy


def test_cancelling_a_waiting_request_takes_it_out_of_the_queue() -> None:
    engine = fake_engine(FakeDecoder(n_sequences=2), n_parallel=1)
    for name in "ab":
        engine.submit(engine.prepare(say(name, name, max_tokens=3)))
    engine.step()
    engine.cancel("b")
    assert "b" not in run(engine).ends


def test_cancelling_what_nobody_knows_does_nothing() -> None:
    engine = fake_engine(FakeDecoder())
    engine.cancel("nobody")
    assert not engine.busy


def test_only_a_lone_computation_can_be_interrupted() -> None:
    decoder = FakeDecoder()
    engine = fake_engine(decoder)
    engine.interrupt("a")
    assert decoder.interrupted == 0


def test_a_batch_without_space_is_tried_again_with_less_kept() -> None:
    decoder = FakeDecoder()
    engine = fake_engine(decoder)
    run(engine, say("old", "something old"))
    decoder.results = [DecodeResult.NO_SPACE]
    assert run(engine, say("a", "new", max_tokens=5)).texts["a"] == _alone("new", 5)


def test_a_lone_request_without_space_fails() -> None:
    decoder = FakeDecoder()
    engine = fake_engine(decoder)
    decoder.results = [DecodeResult.NO_SPACE]
    end = run(engine, say("a", "new")).ends["a"]
    assert isinstance(end, JobFailed)
    assert isinstance(end.error, GenerationFailed)
    assert run(engine, say("b", "next", max_tokens=5)).texts["b"] == _alone("next", 5)


def test_an_aborted_batch_is_taken_up_where_it_ended() -> None:
    decoder = FakeDecoder()
    engine = fake_engine(decoder)
    decoder.results = [DecodeResult.OK, DecodeResult.ABORTED, DecodeResult.OK, DecodeResult.ABORTED]
    assert run(engine, say("a", "again", max_tokens=5)).texts["a"] == _alone("again", 5)


@pytest.mark.parametrize("failure", [DecodeResult.INVALID, DecodeResult.FAILED])
def test_a_failed_batch_fails_its_requests_and_no_later_ones(failure: DecodeResult) -> None:
    decoder = FakeDecoder()
    engine = fake_engine(decoder)
    decoder.results = [DecodeResult.OK, failure]
    failed = run(engine, say("a", "one"), say("b", "two"))
    assert all(isinstance(end, JobFailed) for end in failed.ends.values())
    assert run(engine, say("c", "one", max_tokens=5)).texts["c"] == _alone("one", 5)


def test_a_request_whose_logits_are_broken_fails_alone() -> None:
    class Broken(FakeDecoder):
        def logits(self):  # type: ignore[no-untyped-def]
            rows = super().logits()
            rows[0] = float("nan")
            return rows

    texts = {"a": "aaa", "b": "bbb"}
    result = run(fake_engine(Broken()), *[say(name, text, max_tokens=1) for name, text in texts.items()])
    (failed,) = [name for name, end in result.ends.items() if isinstance(end, JobFailed)]
    (other,) = texts.keys() - {failed}
    assert result.texts[other] == _alone(texts[other], 1)


def test_an_end_token_ends_the_answer_and_is_not_shown() -> None:
    def ends_at_five(tokens: Sequence[int]) -> int:
        return END if len(tokens) >= 5 else ord("x")

    result = run(fake_engine(FakeDecoder(answer=ends_at_five)), say("a", "ab", max_tokens=None))
    assert result.texts["a"] == "xxx"
    assert result.done("a").reason is FinishReason.STOP
    assert result.done("a").usage.completion_tokens == 3


def test_a_stop_string_across_tokens_is_cut_off_and_named() -> None:
    text = _alone("a prompt", 8)
    result = run(fake_engine(FakeDecoder()), say("a", "a prompt", max_tokens=8, stop=(text[3:6],)))
    assert result.texts["a"] == text[:3]
    assert result.done("a").stopped_by == text[3:6]
    assert result.done("a").reason is FinishReason.STOP


def test_a_sampler_is_freed_however_its_request_ends() -> None:
    decoder = FakeDecoder()
    engine = fake_engine(decoder)
    random = SamplingParams(seed=1)
    run(engine, say("a", "x", sampling=random))
    engine.submit(engine.prepare(say("b", "x", sampling=random)))
    engine.cancel("b")
    engine.submit(engine.prepare(say("c", "x", sampling=random)))
    engine.step()
    engine.close()
    assert len(decoder.chains) == 3
    assert all(chain.closed for chain in decoder.chains)


def test_log_probabilities_come_with_each_token() -> None:
    job = replace(say("a", "ab", max_tokens=2), top_logprobs=3)
    engine = fake_engine(FakeDecoder())
    engine.submit(engine.prepare(job))
    pieces = [piece for event in run(engine).events if hasattr(event, "pieces") for piece in event.pieces]
    assert len(pieces) == 2
    for piece in pieces:
        assert piece.logprob is not None
        assert piece.logprob.token_id == piece.token_id == piece.logprob.top[0].token_id
        assert len(piece.logprob.top) == 3


def test_what_happened_before_a_failure_of_the_engine_is_told_too() -> None:
    class Broken(FakeDecoder):
        def remove(self, sequence: int, start: int) -> bool:
            if decoder.spoilt:
                raise RuntimeError("spoilt")
            return super().remove(sequence, start)

    decoder = Broken()
    decoder.spoilt = False
    engine = fake_engine(decoder)
    engine.submit(engine.prepare(say("a", "aa", max_tokens=3)))
    engine.submit(engine.prepare(say("b", "bb", max_tokens=9)))
    engine.step()
    engine.finish("a")
    # Parks nothing yet: the failure comes when the next request cuts what "a" left.
    engine.submit(engine.prepare(say("c", "ab", max_tokens=3)))
    decoder.spoilt = True
    events = engine.step()
    assert [event.id for event in events if isinstance(event, Done)] == ["a"]
    assert {event.id for event in events if isinstance(event, JobFailed)} == {"b", "c"}


def test_a_prompt_is_not_admitted_to_cells_that_another_will_need() -> None:
    decoder = FakeDecoder(n_cells=128, n_batch=16)
    engine = fake_engine(decoder, limit=128)
    result = run(engine, *[say(name, name * 80, max_tokens=5) for name in "ab"])
    assert result.texts == {name: _alone(name * 80, 5) for name in "ab"}
    # Neither was begun and given up again.
    assert sum(sum(batch.values()) for batch in decoder.batches) == 2 * (80 + 4)
    beginnings = [event for event in result.events if isinstance(event, PromptProgress) and event.done == 0]
    assert [event.id for event in beginnings] == ["a", "b"]


def test_an_aborted_batch_of_a_model_with_a_running_state_is_computed_again() -> None:
    decoder = FakeDecoder(memory=MemoryKind.RECURRENT, n_sequences=3)
    engine = fake_engine(decoder, n_parallel=2)
    decoder.results = [DecodeResult.OK, DecodeResult.ABORTED]
    assert run(engine, say("a", "again", max_tokens=5)).texts["a"] == _alone("again", 5)
    assert len(decoder.batches[1]) == 1
    assert sum(decoder.batches[1].values()) == len("again") + 1


def test_an_answer_is_finished_where_it_is_and_its_figures_are_true() -> None:
    engine = fake_engine(FakeDecoder())
    for name in "ab":
        engine.submit(engine.prepare(say(name, name, max_tokens=20)))
    engine.step()
    engine.finish("a")
    result = run(engine)
    assert (result.done("a").reason, result.done("a").usage.completion_tokens) == (FinishReason.STOP, 1)
    assert result.done("b").usage.completion_tokens == 20


def test_a_waiting_answer_is_finished_without_being_computed() -> None:
    engine = fake_engine(FakeDecoder(n_sequences=2), n_parallel=1)
    for name in "ab":
        engine.submit(engine.prepare(say(name, name, max_tokens=3)))
    engine.step()
    engine.finish("b")
    assert run(engine).done("b").usage.completion_tokens == 0


def test_a_picture_whose_decoding_was_aborted_is_decoded_again() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 6)).save(file, "PNG")
    decoder = FakeDecoder()
    engine = fake_engine(decoder, projector=FakeProjector())
    job = GenerateJob("a", (Picture(file.getvalue()), PlainText("what?")), SamplingParams(temperature=0), max_tokens=4)
    expected = run(fake_engine(FakeDecoder(), projector=FakeProjector()), job).texts["a"]
    decoder.picture_results = [DecodeResult.ABORTED]
    assert run(engine, job).texts["a"] == expected


def test_who_found_no_space_beside_others_waits_until_one_of_them_has_ended() -> None:
    """Windows can run out although the count of cells has room: admitting again at once would go on for ever."""

    class Narrow(FakeDecoder):
        def decode(self) -> DecodeResult:
            together = len(set(self.batch.sequences[: self.batch.n_tokens].tolist())) > 1
            return DecodeResult.NO_SPACE if together else super().decode()

    decoder = Narrow()
    engine = fake_engine(decoder)
    for name in "abc":
        engine.submit(engine.prepare(say(name, name * 30, max_tokens=10)))
    for _ in range(100):
        engine.step()
    assert not engine.busy
    assert decoder.used_cells > 0


def test_a_picture_without_space_is_tried_again_with_less_kept_and_beside_nobody() -> None:
    job = _look("a", "what?")
    expected = run(fake_engine(FakeDecoder(), projector=FakeProjector()), job).texts["a"]
    decoder = FakeDecoder()
    engine = fake_engine(decoder, projector=FakeProjector())
    run(engine, say("old", "something old"))
    decoder.picture_results = [DecodeResult.NO_SPACE, DecodeResult.NO_SPACE]
    other = say("b", "beside", max_tokens=5)
    result = run(engine, other, job)
    assert result.texts == {"a": expected, "b": _alone("beside", 5)}
    decoder.picture_results = [DecodeResult.NO_SPACE, DecodeResult.NO_SPACE]
    assert isinstance(run(engine, _look("c", "and?", height=7)).ends["c"], JobFailed)


def test_what_waits_of_a_forgotten_conversation_belongs_to_nobody() -> None:
    decoder = FakeDecoder(n_cells=200)
    engine = fake_engine(decoder, limit=200)
    for name in "ab":
        engine.submit(engine.prepare(say(name, name * 90, max_tokens=40, owner="chat")))
    while not engine.stats().preempted:
        engine.step()
    engine.forget("chat")
    run(engine)
    assert not engine.has_unwritten
    assert not list(_scheduler(engine).cache.owned())


def test_nothing_that_a_failed_request_computed_is_used_again() -> None:
    class Broken(FakeDecoder):
        def logits(self) -> FloatArray:
            rows = super().logits()
            rows[:] = float("nan")
            return rows

    decoder = Broken()
    engine = fake_engine(decoder)
    assert isinstance(run(engine, say("a", "a prompt")).ends["a"], JobFailed)
    assert _scheduler(engine).cache.parked == ()
    assert decoder.used_cells == 0


def test_after_a_failure_of_the_engine_nothing_is_kept_for_guessing() -> None:
    class Broken(FakeDecoder):
        def logits(self) -> FloatArray:
            raise RuntimeError("broken")

    small = FakeDecoder(n_sequences=1)
    draft = DraftModel(small, n_vocab=FakeVocabulary.n_tokens)
    decoder = FakeDecoder()
    engine = fake_engine(decoder, drafter=draft)
    engine.submit(engine.prepare(say("a", "a prompt", max_tokens=None)))
    for _ in range(3):
        engine.step()
    assert small.used_cells > 0
    decoder.logits = Broken().logits  # type: ignore[method-assign]
    engine.step()
    assert not engine.busy
    assert small.used_cells == 0


def _scheduler(engine: Engine) -> Scheduler:
    scheduler = engine._scheduler
    assert isinstance(scheduler, Scheduler)
    return scheduler


def _look(name: str, text: str, *, height: int = 6) -> GenerateJob:
    file = io.BytesIO()
    Image.new("RGB", (8, height)).save(file, "PNG")
    return GenerateJob(name, (Picture(file.getvalue()), PlainText(text)), SamplingParams(temperature=0), max_tokens=4)
