"""A program that is killed loses nothing that was said before."""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

import pytest

from app.chats import ChatStore, MessageState, backup_if_due
from app.domain.messages import Role

KILLS = 500


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_killed_500_times_at_any_moment_everything_written_before_is_there(tmp_path: Path) -> None:
    rng = random.Random(7)
    file = tmp_path / "chats.sqlite3"
    with ChatStore(file) as store:
        conversation_id = store.create(title="long").id
    grown = 0
    for turn in range(KILLS):
        told = _killed(file, conversation_id, turn, after_bytes=rng.randrange(1, 40))
        with ChatStore(file) as store:
            assert store.notice is None
            shown = store.messages(conversation_id)
            assert [message.text for message in shown if message.role is Role.USER] == [
                f"question {i}" for i in range(turn + 1)
            ]
            answer = shown[-1] if shown[-1].role is Role.ASSISTANT else None
            # What `grow` had returned from is there; one more may be, which was on its way.
            n_kept = len(answer.text) if answer is not None else 0
            assert told <= n_kept <= told + 1
            assert answer is None or answer.state is MessageState.STOPPED
            grown += n_kept
        if turn % 100 == 50:
            assert backup_if_due(file) is not None or turn > 50
    assert grown > KILLS


def _killed(file: Path, conversation_id: str, turn: int, *, after_bytes: int) -> int:
    """A process that asks and writes an answer, a letter at a time, killed once it has told of so many; how many it told of."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _write(file, conversation_id, turn, writing)
    os.close(writing)
    told = 0
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while told < after_bytes and (letter := pipe.read(1)):
            told += letter == b"x"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        told += pipe.read().count(b"x")
    return told


def _write(file: Path, conversation_id: str, turn: int, pipe: int) -> None:
    try:
        with ChatStore(file) as store:
            shown = store.messages(conversation_id)
            parent = shown[-1].id if shown else None
            question = store.append(conversation_id, parent_id=parent, role=Role.USER, text=f"question {turn}")
            answer = store.append(
                conversation_id, parent_id=question.id, role=Role.ASSISTANT, text="", state=MessageState.GROWING
            )
            for n in range(1, 1000):
                store.grow(answer.id, text="x" * n, reasoning="")
                os.write(pipe, b"x")
    finally:
        os._exit(1)
