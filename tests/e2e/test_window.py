"""A person at the window, with Ember in a real worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QMimeData
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QPlainTextEdit

from app.chats import MessageState
from app.domain.errors import EngineCrashed
from tests.e2e.conftest import WAIT_MS, Hearth


def test_a_greeting_is_answered(hearth: Hearth) -> None:
    answer = hearth.ask("Hello")
    assert "Ember" in answer.text
    assert answer.state is MessageState.COMPLETE


def test_the_answer_about_a_picture_comes_from_the_picture(hearth: Hearth, red_circle: bytes) -> None:
    answer = hearth.ask("What is in this picture?", red_circle)
    assert "red" in answer.text
    assert "circle" in answer.text


def test_a_pasted_picture_is_sent_too(hearth: Hearth, red_circle: bytes) -> None:
    copied = QMimeData()
    copied.setImageData(QImage.fromData(red_circle))
    QGuiApplication.clipboard().setMimeData(copied)
    editor = hearth.chat.composer.findChild(QPlainTextEdit)
    assert editor is not None
    editor.paste()
    # The offscreen platform would delete the data after Python is gone.
    QGuiApplication.clipboard().clear()
    hearth.qtbot.waitUntil(lambda: len(hearth.chat.composer.pictures) == 1)
    assert "red" in hearth.ask("What is in this picture?").text


def test_a_follow_up_reuses_what_was_read(hearth: Hearth, red_circle: bytes) -> None:
    first = hearth.ask("What is in this picture?", red_circle)
    second = hearth.ask("What colour is the background?")
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.cached_tokens >= first.usage.prompt_tokens


def test_stop_ends_an_answer_at_once_and_the_next_one_works(hearth: Hearth) -> None:
    hearth.ask("Hello")
    with hearth.frozen_worker():
        hearth.chat.composer.set_text("Tell me a story")
        hearth.chat.composer.send()
        hearth.qtbot.waitUntil(lambda: hearth.is_answering, timeout=WAIT_MS)
        with hearth.qtbot.waitSignal(hearth.chat.answer_finished, timeout=WAIT_MS) as finished:
            hearth.chat.stop()
    assert finished.args[0].messages[-1].state is MessageState.STOPPED
    assert hearth.ask("Hello").state is MessageState.COMPLETE


def test_another_answer_is_kept_beside_the_first(hearth: Hearth) -> None:
    first = hearth.ask("Hello")
    with hearth.qtbot.waitSignal(hearth.chat.answer_finished, timeout=WAIT_MS) as finished:
        hearth.chat.transcript.again.emit(first)
    second = finished.args[0].messages[-1]
    assert second.alternatives == (first.id, second.id)


def test_everything_is_there_after_a_restart(start: Callable[[], Any], red_circle: bytes) -> None:
    with start() as hearth:
        hearth.ask("What is in this picture?", red_circle)
        kept = hearth.chat.conversation
        hearth.chat.new_conversation()
        hearth.ask("Hello")
    with start() as hearth:
        with hearth.qtbot.waitSignal(hearth.chat.conversation_opened, timeout=WAIT_MS):
            hearth.chat.open_conversation(kept.id)
        question, answer = hearth.chat.transcript.views
        assert [data for data, _ in question.pictures]
        assert "red" in answer.message.text
        listed = hearth.program.loop.submit(hearth.program.services.conversations.list()).result()
        assert len(listed) == 2


def test_a_killed_worker_is_explained_and_try_again_works(hearth: Hearth) -> None:
    hearth.ask("Hello")
    with hearth.frozen_worker() as worker:
        hearth.chat.composer.set_text("Who are you?")
        with hearth.qtbot.waitSignal(hearth.chat.answer_failed, timeout=WAIT_MS) as failed:
            hearth.chat.composer.send()
            hearth.qtbot.waitUntil(lambda: hearth.active_requests == 1, timeout=WAIT_MS)
            os.kill(worker, signal.SIGKILL)
    assert isinstance(failed.args[0], EngineCrashed)
    hearth.qtbot.waitUntil(lambda: not hearth.is_answering, timeout=WAIT_MS)
    answer = hearth.chat.transcript.last_answer
    assert answer is not None
    with hearth.qtbot.waitSignal(hearth.chat.answer_finished, timeout=WAIT_MS) as finished:
        answer.again.emit()
    messages = finished.args[0].messages
    assert messages[-1].state is MessageState.COMPLETE
    assert [message.text for message in messages][0::2] == ["Hello", "Who are you?"]
    assert hearth.worker != worker


def test_no_worker_outlives_the_program(start: Callable[[], Any]) -> None:
    with start() as hearth:
        hearth.ask("Hello")
        worker = hearth.worker
    assert not Path(f"/proc/{worker}").exists()
