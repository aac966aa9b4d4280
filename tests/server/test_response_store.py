from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from app.domain.errors import PreviousResponseNotFound, ResponseNotFound
from app.server.response_store import ResponseStore, Turn


def turn(name: str, size: int = 10) -> Turn:
    return Turn.of(({"id": f"asked_{name}", "text": "x" * size},), ({"id": f"said_{name}"},))


def body(name: str) -> dict[str, Any]:
    return {"id": name}


def kept(store: ResponseStore, *names: str) -> list[str]:
    def is_kept(name: str) -> bool:
        try:
            store.get(name)
        except ResponseNotFound:
            return False
        return True

    return [name for name in names if is_kept(name)]


def test_a_response_is_found_until_it_is_deleted() -> None:
    store = ResponseStore()
    store.keep(body("a"), (turn("a"),))
    assert store.get("a").body == {"id": "a"}
    assert store.said("said_a") == {"id": "said_a"}
    store.delete("a")
    assert store.said("said_a") is None
    for gone in (store.get, store.delete):
        with pytest.raises(ResponseNotFound):
            gone("a")


def test_a_later_response_holds_what_it_went_on_from() -> None:
    store = ResponseStore()
    first = turn("a")
    store.keep(body("a"), (first,))
    store.keep(body("b"), (*store.turns_before("a"), turn("b")))
    store.delete("a")
    with pytest.raises(PreviousResponseNotFound):
        store.turns_before("a")
    assert store.said("said_a") is not None
    assert [item["id"] for item in store.get("b").input_items] == ["asked_a", "said_a", "asked_b"]
    store.delete("b")
    assert store.said("said_a") is None


def test_the_oldest_leave_when_there_are_too_many() -> None:
    store = ResponseStore(max_responses=2)
    for name in "abc":
        store.keep(body(name), (turn(name),))
    assert kept(store, "a", "b", "c") == ["b", "c"]


def test_the_oldest_leave_when_they_are_too_large_and_a_shared_turn_counts_once() -> None:
    store = ResponseStore(max_bytes=100_000)
    large = turn("large", 60_000)
    for name in "abc":
        store.keep(body(name), (large, turn(name)))
    assert kept(store, "a", "b", "c") == ["a", "b", "c"]
    store.keep(body("d"), (turn("d", 60_000),))
    assert kept(store, "a", "b", "c", "d") == ["d"]
    store.keep(body("e"), (turn("e", 200_000),))
    assert kept(store, "d", "e") == []


def test_a_response_s_own_fields_count_too() -> None:
    store = ResponseStore(max_bytes=100_000)
    for name in "ab":
        store.keep({"id": name, "tools": [{"description": "x" * 60_000}]}, (turn(name),))
    assert kept(store, "a", "b") == ["b"]


def test_numbers_and_containers_count_as_what_they_take() -> None:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tokens = [
        {"token": f"token {index}", "logprob": -index / 7, "bytes": list(b"token"), "top_logprobs": [{"token": f"t{index}"}]}
        for index in range(5_000)
    ]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size_bytes = Turn.of((), ({"id": "said", "logprobs": tokens},)).size_bytes
    assert 0.9 < size_bytes / (after - before) < 1.2


def test_what_was_said_counts_once() -> None:
    store = ResponseStore(max_bytes=20_000)
    for name in "ab":
        said = ({"id": f"said_{name}", "text": "x" * 6_000},)
        store.keep({"id": name, "output": list(said)}, (Turn.of((), said),))
    assert kept(store, "a", "b") == ["a", "b"]


def test_the_old_leave_with_time() -> None:
    now = 0.0
    store = ResponseStore(max_age_s=60, clock=lambda: now)
    store.keep(body("a"), (turn("a"),))
    now = 50.0
    store.keep(body("b"), (turn("b"),))
    now = 100.0
    assert kept(store, "a", "b") == ["b"]
    assert store.said("said_a") is None
