"""The engine's main loop, driven by hand on this thread: commands first, then `run` until `Shutdown`."""

from __future__ import annotations

import pytest

from app.domain.errors import EngineBusy, GenerationFailed, InvalidRequest
from app.domain.generation import SamplingParams
from app.domain.prompt import PlainText
from app.engine.loop import EngineLoop
from app.engine.protocol import (
    Cancel,
    Command,
    Detokenized,
    DetokenizeJob,
    Done,
    Embedded,
    EmbedJob,
    EngineEvent,
    Finish,
    Frame,
    GenerateJob,
    JobFailed,
    Shutdown,
    Standing,
    Tokenized,
    TokenizeJob,
    Tokens,
)
from tests.engine.scripted_engine import ScriptedEngine


def job(script: str, id: str = "a") -> GenerateJob:
    return GenerateJob(id, (PlainText(script),), SamplingParams())


class Bench:
    """A loop whose frames are kept; `then` posts commands once a frame has come, as a preparing thread would meanwhile."""

    def __init__(self, *then: Command) -> None:
        self.engine = ScriptedEngine()
        self.frames: list[Frame] = []
        self.loop = EngineLoop(self.engine, self._take)
        self._then = list(then)

    def run(self, *commands: Command) -> list[EngineEvent]:
        for command in commands:
            self.loop.handle(command)
        self.loop.run()
        return [event for frame in self.frames for event in frame if not isinstance(event, Standing)]

    def _take(self, frame: Frame) -> None:
        self.frames.append(frame)
        finished = any(isinstance(event, Done | Embedded | JobFailed) for event in frame)
        if self._then:
            self.loop.handle(self._then.pop(0))
        elif finished and not self.engine.running:
            self.loop.handle(Shutdown())


def test_jobs_that_wait_are_taken_together_and_share_frames() -> None:
    bench = Bench()
    events = bench.run(job("say one", "a"), job("say two", "b"))
    assert {event.id for event in bench.frames[0] if isinstance(event, Tokens)} == {"a", "b"}
    assert [event.id for event in events if isinstance(event, Done)] == ["a", "b"]


def test_shutdown_leaves_what_runs_and_closes_the_engine() -> None:
    bench = Bench(Shutdown())
    events = bench.run(job("forever"))
    assert not any(isinstance(event, Done) for event in events)
    assert bench.engine.closed


def test_a_step_that_raises_closes_the_engine_and_reaches_the_owner() -> None:
    bench = Bench()
    with pytest.raises(RuntimeError, match="the step failed"):
        bench.run(job("raise"))
    assert bench.engine.closed


def test_cancel_drops_the_job_before_the_next_step() -> None:
    bench = Bench(Cancel("a"), Shutdown())
    bench.run(job("forever"), job("say it", "b"))
    assert bench.engine.cancelled == ["a"]
    assert not any(isinstance(event, Tokens) and event.id == "a" for frame in bench.frames[1:] for event in frame)


def test_that_the_engine_rests_is_told_even_when_its_last_job_is_cancelled() -> None:
    bench = Bench(Cancel("a"), Shutdown())
    bench.run(job("forever"))
    standings = [event.stats for frame in bench.frames for event in frame if isinstance(event, Standing)]
    assert standings[-1].active == 0


def test_what_is_hastened_takes_effect_though_another_job_is_still_being_prepared() -> None:
    bench = Bench()
    bench.loop.handle(job("forever"))
    bench.loop.hasten(Cancel("a"))
    assert bench.run(Shutdown()) == []
    assert bench.engine.interrupted == ["a"]
    assert bench.engine.cancelled == ["a"]


def test_an_answer_is_finished_where_it_is() -> None:
    bench = Bench(Finish("a"))
    events = bench.run(job("forever"))
    (done,) = (event for event in events if isinstance(event, Done))
    assert done.usage.completion_tokens == 1


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("invalid", InvalidRequest),
        ("bug", GenerationFailed),
        ("busy", EngineBusy),
        ("broken", GenerationFailed),
    ],
)
def test_a_job_that_can_not_run_is_answered_with_why(script: str, kind: type[Exception]) -> None:
    bench = Bench()
    (failed,) = bench.run(job(script))
    assert isinstance(failed, JobFailed)
    assert isinstance(failed.error, kind)


def test_questions_are_answered_without_the_engine_thread() -> None:
    bench = Bench()
    bench.loop.handle(TokenizeJob("t", (PlainText("a"),)))
    bench.loop.handle(DetokenizeJob("d", (97,)))
    bench.loop.handle(DetokenizeJob("p", (97, 98), pieces=True))
    assert bench.frames == [
        (Tokenized("t", (97,)),),
        (Detokenized("d", "a"),),
        (Detokenized("p", "ab", (b"a", b"b")),),
    ]


def test_embeddings_go_through_the_engine() -> None:
    (event,) = Bench().run(EmbedJob("e", ("one", "two")))
    assert isinstance(event, Embedded)
    assert event.result.prompt_tokens == 2
