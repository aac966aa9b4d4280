"""The latest requests."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

from app.service.activity import Activity, RequestRecord


def record(id: str) -> RequestRecord:
    return RequestRecord(id, datetime(2026, 1, 2, tzinfo=UTC), "/v1/chat/completions", "ember")


def test_a_record_is_added_then_replaced_and_both_are_told() -> None:
    activity = Activity()
    told: list[RequestRecord] = []
    activity.changed.subscribe(told.append)
    running = record("a")
    done = dataclasses.replace(running, status=200, completion_tokens=7)
    activity.record(running)
    activity.record(record("b"))
    activity.record(done)
    assert activity.records == (done, record("b"))
    assert told == [running, record("b"), done]


def test_only_the_newest_are_kept() -> None:
    activity = Activity()
    for number in range(250):
        activity.record(record(str(number)))
    assert len(activity.records) == 200
    assert activity.records[0].id == "50"
    assert activity.records[-1].id == "249"
