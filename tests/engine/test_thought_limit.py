from __future__ import annotations

import pytest

from app.domain.prompt import ReasoningLimit
from app.engine.thought_limit import ThoughtLimit


def limit(n_tokens: int, *, begun: bool = False) -> ThoughtLimit:
    return ThoughtLimit(ReasoningLimit(n_tokens, "<think>", "</think>", "\n</think>\n\n", begun=begun))


def reached_after(thought: ThoughtLimit, *pieces: str) -> int | None:
    for index, piece in enumerate(pieces):
        thought.read(piece.encode())
        if thought.is_reached:
            return index + 1
    return None


def test_the_tokens_behind_the_opening_are_counted() -> None:
    assert reached_after(limit(2), "<think>", "a", "b", "c") == 3
    assert reached_after(limit(2, begun=True), "a", "b", "c") == 2


@pytest.mark.parametrize("pieces", [("<th", "ink>", "a", "b"), ("\n", "<think>", "\n", "a"), ("<", "think>a", "b", "c")])
def test_markers_may_be_split_into_tokens(pieces: tuple[str, ...]) -> None:
    assert reached_after(limit(2), *pieces) == 4


def test_reasoning_that_closes_itself_is_left_alone() -> None:
    assert reached_after(limit(3), "<think>", "a", "</th", "ink>", "b", "c", "d") is None
    assert reached_after(limit(3, begun=True), "a", "b</think>", "c", "d") is None


def test_an_answer_without_reasoning_is_left_alone() -> None:
    assert reached_after(limit(1), "Hi", "<think>", "a", "b") is None
    assert reached_after(limit(0), "<b>", "a") is None


def test_no_reasoning_at_all_is_closed_at_once() -> None:
    assert limit(0, begun=True).is_reached
    assert reached_after(limit(0), "<think>", "a") == 1


def test_an_opening_may_begin_with_a_blank() -> None:
    thought = ThoughtLimit(ReasoningLimit(1, " to=self<|message|>", "<|eom|>", "<|eom|>"))
    assert reached_after(thought, " to", "=self", "<|message|>", "a", "b") == 4
