"""What is sent together, with a clock that is moved by hand: steps of 8 ms."""

from __future__ import annotations

from app.domain.stats import EngineStats
from app.engine.outbox import Outbox
from app.engine.protocol import EngineEvent, Frame, PromptProgress, Standing, Tokens
from tests.fakes import piece

STEP_NS = 8_000_000


class Clocked:
    """An outbox after its first sending, and the frames that came after that."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.now = 0
        self.outbox = Outbox(self.frames.append, clock=lambda: self.now)
        self.step(token("first"))

    def step(self, *events: EngineEvent, ns: int = STEP_NS) -> None:
        self.now += ns
        self.outbox.put(events, step_ns=ns)


def token(text: str, id: str = "a") -> Tokens:
    return Tokens(id, (piece(text),))


def test_the_first_token_is_sent_at_once() -> None:
    assert Clocked().frames == [(token("first"),)]


def test_tokens_that_come_fast_are_sent_together_and_never_later_than_the_limit() -> None:
    clocked = Clocked()
    for number in range(5):
        clocked.step(token(str(number)))
    # The sixth step would end 48 ms after the first token was sent.
    assert clocked.frames[1:] == [tuple(token(str(number)) for number in range(5))]


def test_slow_steps_are_sent_one_by_one() -> None:
    clocked = Clocked()
    clocked.step(token("a"), ns=25_000_000)
    clocked.step(token("b"), ns=25_000_000)
    assert clocked.frames[1:] == [(token("a"),), (token("b"),)]


def test_other_news_take_the_tokens_before_them_along() -> None:
    clocked = Clocked()
    clocked.step(token("a"))
    clocked.step(PromptProgress("b", 1, 2, 0))
    clocked.step(token("c"))
    clocked.step(Standing(EngineStats()), token("d"))
    assert clocked.frames[1:] == [
        (token("a"), PromptProgress("b", 1, 2, 0)),
        (token("c"), Standing(EngineStats()), token("d")),
    ]


def test_what_is_held_can_be_sent_before_its_time_and_only_once() -> None:
    clocked = Clocked()
    clocked.step(token("a"))
    clocked.outbox.send()
    clocked.outbox.send()
    assert clocked.frames[1:] == [(token("a"),)]
