"""Responses that clients may come back to, for as long as the server runs. Never on the disk."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from app.domain.errors import InvalidRequest, PreviousResponseNotFound, ResponseNotFound
from app.server.wire.responses.items import ItemBody

__all__ = ["MAX_AGE_S", "MAX_BYTES", "MAX_RESPONSES", "ResponseStore", "StoredResponse", "Turn"]

MAX_RESPONSES = 1_000
MAX_BYTES = 256 * 1024 * 1024
MAX_AGE_S = 24 * 3600.0

_SHARED_NUMBERS = range(-5, 257)


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """What one response was asked and what it said, shared by all responses that go on from it."""

    asked: tuple[ItemBody, ...]
    said: tuple[ItemBody, ...]
    size_bytes: int

    @classmethod
    def of(cls, asked: tuple[ItemBody, ...], said: tuple[ItemBody, ...]) -> Turn:
        return cls(asked, said, _size_bytes((asked, said)))


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """`turns` are those it went on from, and its own. `events` are its stream's if it was made in the background."""

    body: dict[str, Any]
    turns: tuple[Turn, ...]
    size_bytes: int
    kept_at: float
    events: tuple[bytes, ...] = ()

    @property
    def input_items(self) -> tuple[ItemBody, ...]:
        """Everything it was made from, first to last."""
        *before, own = self.turns
        return (*(item for turn in before for item in (*turn.asked, *turn.said)), *own.asked)


class ResponseStore:
    """Bounded in number, size and age; the oldest leave first. Owned by the service loop.

    Deleting a response leaves what was said in it where a later one went on from it.
    """

    def __init__(
        self,
        *,
        max_responses: int = MAX_RESPONSES,
        max_bytes: int = MAX_BYTES,
        max_age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_responses = max_responses
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._responses: dict[str, StoredResponse] = {}
        self._uses: Counter[Turn] = Counter()
        self._said: dict[str, ItemBody] = {}
        self._size_bytes = 0

    def keep(self, body: dict[str, Any], turns: tuple[Turn, ...]) -> None:
        """In the place of what was kept of the same response before. Its output is what the last of `turns` said."""
        if body["id"] in self._responses:
            self._drop(body["id"])
        # The output counts as the turn's.
        own_bytes = _size_bytes((turns, {**body, "output": None}))
        kept = self._responses[body["id"]] = StoredResponse(body, turns, own_bytes, self._clock())
        self._size_bytes += kept.size_bytes
        for turn in turns:
            self._uses[turn] += 1
            if self._uses[turn] == 1:
                self._size_bytes += turn.size_bytes
                self._said |= {item["id"]: item for item in turn.said}
        self._shrink()

    def keep_events(self, response_id: str, events: tuple[bytes, ...]) -> None:
        """Nothing happens if the response has been deleted."""
        stored = self._responses.get(response_id)
        if stored is None:
            return
        size_bytes = _size_bytes(events)
        self._size_bytes += size_bytes
        self._responses[response_id] = replace(stored, events=events, size_bytes=stored.size_bytes + size_bytes)
        self._shrink()

    def get(self, response_id: str) -> StoredResponse:
        """Raises ResponseNotFound."""
        self._shrink()
        try:
            return self._responses[response_id]
        except KeyError:
            raise ResponseNotFound(response_id) from None

    def turns_before(self, previous: str | None) -> tuple[Turn, ...]:
        """What a response that goes on from another goes on from. Raises PreviousResponseNotFound, and InvalidRequest for one
        that has not ended."""
        if previous is None:
            return ()
        try:
            stored = self.get(previous)
        except ResponseNotFound:
            raise PreviousResponseNotFound(previous) from None
        if stored.body.get("status") == "in_progress":
            raise InvalidRequest("The previous response is still being made.", param="previous_response_id")
        return stored.turns

    def said(self, item_id: str) -> ItemBody | None:
        """An item of a stored response's output."""
        self._shrink()
        return self._said.get(item_id)

    def delete(self, response_id: str) -> None:
        """Raises ResponseNotFound."""
        self.get(response_id)
        self._drop(response_id)

    def _shrink(self) -> None:
        oldest_allowed = self._clock() - self._max_age_s
        while self._responses:
            oldest = next(iter(self._responses))
            full = len(self._responses) > self._max_responses or self._size_bytes > self._max_bytes
            if not full and self._responses[oldest].kept_at >= oldest_allowed:
                return
            self._drop(oldest)

    def _drop(self, response_id: str) -> None:
        dropped = self._responses.pop(response_id)
        self._size_bytes -= dropped.size_bytes
        for turn in dropped.turns:
            self._uses[turn] -= 1
            if self._uses[turn] == 0:
                del self._uses[turn]
                self._size_bytes -= turn.size_bytes
                for item in turn.said:
                    self._said.pop(item["id"], None)


def _size_bytes(value: object) -> int:
    """About what it takes in memory. The names of fields count once, and numbers that all of Python shares not at all."""
    size_bytes = 0
    names: set[str] = set()
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, int) and value in _SHARED_NUMBERS:
            continue
        size_bytes += sys.getsizeof(value)
        if isinstance(value, dict):
            names |= value.keys()
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
    return size_bytes + sum(map(sys.getsizeof, names))
