"""What is asked of responses that are kept, in a query: pages of their input, and events of their stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.errors import InvalidRequest

__all__ = ["input_item_list", "starting_after"]

_DEFAULT_LIMIT = 20
_MAX_LIMIT = 100


def input_item_list(items: Sequence[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """One page: `limit` items `after` one of them, the newest first unless `order` is "asc". Raises InvalidRequest."""
    limit = _limit(query.get("limit"))
    order = query.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise InvalidRequest("'order' is 'asc' or 'desc'.", param="order")
    ordered = list(items) if order == "asc" else list(reversed(items))
    begin = _begin(ordered, query.get("after"))
    page = ordered[begin : begin + limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": begin + limit < len(ordered),
    }


def starting_after(given: str | None) -> int:
    """The number of the last event that the client has; -1 where it has none. Raises InvalidRequest."""
    if given is None:
        return -1
    number = _number(given)
    if number is None:
        raise InvalidRequest("'starting_after' is the sequence_number of an event.", param="starting_after")
    return number


def _limit(given: str | None) -> int:
    if given is None:
        return _DEFAULT_LIMIT
    number = _number(given)
    if number is None or not 1 <= number <= _MAX_LIMIT:
        raise InvalidRequest(f"'limit' is a number from 1 to {_MAX_LIMIT}.", param="limit")
    return number


def _number(given: str) -> int | None:
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else None


def _begin(items: Sequence[dict[str, Any]], after: str | None) -> int:
    if after is None:
        return 0
    for index, item in enumerate(items):
        if item["id"] == after:
            return index + 1
    raise InvalidRequest("'after' is the id of no item of this response.", param="after")
