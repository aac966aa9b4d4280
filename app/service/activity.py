"""The latest requests, for the window's server page."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from app.domain.observable import Observable

__all__ = ["Activity", "RequestRecord"]

_KEPT = 200


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One HTTP request. `status` is None while it runs; token figures are None where a request has none.

    `key` is the name of the API key it came with.
    """

    id: str
    started: datetime
    endpoint: str
    model: str = ""
    status: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tokens_per_s: float | None = None
    duration_s: float | None = None
    error: str | None = None
    key: str = ""


class Activity:
    """Keeps the newest requests. Owned by the service loop; `changed` tells of each new or updated record."""

    def __init__(self) -> None:
        self.changed: Observable[RequestRecord] = Observable()
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT)

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """Oldest first."""
        return tuple(self._records)

    def record(self, record: RequestRecord) -> None:
        """Add a request, or replace the one with the same id."""
        for index, known in enumerate(self._records):
            if known.id == record.id:
                self._records[index] = record
                break
        else:
            self._records.append(record)
        self.changed.notify(record)
