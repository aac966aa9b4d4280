from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from app.chats.records import Attachment, MessageState
from app.chats.rows import conversation_of, figures_of, message_of, now_us
from app.domain.generation import Finished, FinishReason, Timings, Usage

FIGURES = "finish_reason, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, queue_s, prompt_s, generation_s"
FINISHED = Finished(FinishReason.LENGTH, Usage(10, 20, 3, 4), Timings(0.5, 1.5, 2.5))


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()


def message_row(connection: sqlite3.Connection, finished: Finished | None) -> sqlite3.Row:
    values = ", ".join(f"? AS {name}" for name in FIGURES.split(", "))
    query = (
        "SELECT 'm' AS id, 'c' AS conversation, NULL AS parent, 'assistant' AS role, 'Hi' AS text, 'complete' AS state,"
        f" 1500000 AS created, '' AS reasoning, 'ember' AS model, '' AS error, {values}"
    )
    row: sqlite3.Row = connection.execute(query, figures_of(finished)).fetchone()
    return row


@pytest.mark.parametrize("finished", [FINISHED, None])
def test_the_figures_of_an_answer_come_back_as_they_were_kept(
    connection: sqlite3.Connection, finished: Finished | None
) -> None:
    message = message_of(message_row(connection, finished), (), ("m",))
    assert message.state is MessageState.COMPLETE
    assert message.created == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    kept = (message.finish_reason, message.usage, message.timings)
    assert kept == ((finished.reason, finished.usage, finished.timings) if finished else (None, None, None))


def test_attachments_keep_their_order(connection: sqlite3.Connection) -> None:
    rows = connection.execute("SELECT 'x' AS blob, 'one' AS name, 3 AS size UNION ALL SELECT 'y', 'two', 4").fetchall()
    message = message_of(message_row(connection, None), rows, ("m",))
    assert message.attachments == (Attachment("x", "one", 3), Attachment("y", "two", 4))


def test_a_title_of_the_persons_own_is_known(connection: sqlite3.Connection) -> None:
    query = "SELECT 'c' AS id, 'Talk' AS title, 1 AS has_own_title, '' AS model, 0 AS created, 1 AS updated"
    conversation = conversation_of(connection.execute(query).fetchone())
    assert conversation.has_own_title
    assert conversation.updated - conversation.created == timedelta(microseconds=1)


def test_the_time_is_kept_in_utc_to_the_microsecond() -> None:
    before = datetime.now(UTC)
    kept = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_us())
    assert before <= kept <= datetime.now(UTC)
