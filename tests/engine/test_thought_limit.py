from __future__ import annotations

import pytest

from app.domain.prompt import ReasoningLimit
from app.engine.thought_limit import ThoughtLimit


def limit(n_tokens: int, *, begun: bool = False) -> ThoughtLimit:
    return ThoughtLimit(ReasoningLimit(n_tokens, "<think>", "</think>", "\n</think>\n\n", begun=begun))


def reached_after(thought: ThoughtLimit, *pieces: str | bytes) -> int | None:
    for index, piece in enumerate(pieces):
        thought.read(piece.encode() if isinstance(piece, str) else piece)
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


def test_a_closing_marker_that_is_being_written_is_left_to_the_model() -> None:
    assert reached_after(limit(1), "<think>", "a</", "th", "ink>", "b", "c") is None
    assert reached_after(limit(1), "<think>", "a</", "b>", "c") == 3


def test_a_character_is_finished_first() -> None:
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert reached_after(limit(1, begun=True), first, second, "a") == 2
    assert reached_after(limit(1, begun=True), "日".encode()[:2], "日".encode()[2:], "a") == 2
    assert reached_after(limit(1, begun=True), "é", "a") == 1


def test_a_model_that_never_finishes_a_character_is_stopped_all_the_same() -> None:
    reached = reached_after(limit(1, begun=True), *[b"\xe2"] * 100)
    assert reached is not None
    assert reached < 50


def test_blanks_before_an_opening_do_not_matter_on_either_side() -> None:
    spaced = ThoughtLimit(ReasoningLimit(1, " to=self<|message|>", "<|eom|>", "<|eom|>"))
    assert reached_after(spaced, " to", "=self", "<|message|>", "a", "b") == 4
