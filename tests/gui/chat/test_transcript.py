from __future__ import annotations

from datetime import UTC, datetime

import pytest
from PySide6.QtWidgets import QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from app.chats import MessageState, StoredMessage
from app.domain.generation import TextDelta
from app.domain.messages import Role
from app.gui.chat.look import chat_stylesheet
from app.gui.chat.message_view import AnswerView, QuestionView
from app.gui.chat.transcript import Transcript
from app.gui.theme import Theme


@pytest.fixture
def transcript(qtbot: QtBot) -> Transcript:
    made = Transcript(str.capitalize, page_blocks=50)
    qtbot.addWidget(made)
    made.setStyleSheet(chat_stylesheet(Theme.current()))
    made.resize(700, 400)
    made.show()
    return made


def conversation(turns: int) -> list[StoredMessage]:
    """`turns` questions, each answered."""
    return [
        StoredMessage(
            id=f"{turn}-{role}",
            conversation_id="c",
            parent_id=None,
            role=role,
            text=f"{role} {turn}",
            state=MessageState.COMPLETE,
            created=datetime.now(UTC),
            model="ember",
            alternatives=(f"{turn}-{role}",),
        )
        for turn in range(turns)
        for role in (Role.USER, Role.ASSISTANT)
    ]


def ids(transcript: Transcript) -> list[str]:
    return [view.message.id for view in transcript.views if isinstance(view, QuestionView | AnswerView) and view.message]


def at_end(transcript: Transcript) -> bool:
    bar = transcript.verticalScrollBar()
    return bar.maximum() > 0 and bar.value() == bar.maximum()


def test_a_long_conversation_shows_its_end_and_pages_back(transcript: Transcript, qtbot: QtBot) -> None:
    messages = conversation(60)
    transcript.show_messages(messages)
    assert 20 <= len(transcript.views) < 50, "a screen of it stands there at once"
    qtbot.waitUntil(lambda: len(transcript.views) == 50)
    assert ids(transcript) == [message.id for message in messages[-50:]]
    qtbot.waitUntil(lambda: at_end(transcript))
    earlier = next(each for each in transcript.findChildren(QPushButton) if each.text() == "Show earlier messages")
    transcript.verticalScrollBar().setValue(0)
    first = transcript.views[0]
    earlier.click()
    qtbot.waitUntil(lambda: len(transcript.views) == 100)
    assert ids(transcript) == [message.id for message in messages[-100:]]
    qtbot.waitUntil(lambda: abs(first.y() - transcript.verticalScrollBar().value()) < 100)
    assert first.y() > 1000, "what was being read stays in place"
    earlier.click()
    qtbot.waitUntil(lambda: len(transcript.views) == 120)
    assert ids(transcript) == [message.id for message in messages]
    assert not transcript.has_earlier
    assert earlier.isHidden()


def test_it_follows_a_growing_answer_only_while_the_reader_is_at_the_end(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(conversation(20))
    answer = transcript.begin_answer()
    answer.feed(TextDelta("line\n\n" * 30))
    qtbot.waitUntil(lambda: at_end(transcript))
    transcript.verticalScrollBar().setValue(40)
    answer.feed(TextDelta("more\n\n" * 30))
    answer.end()
    before = transcript.verticalScrollBar().maximum()
    qtbot.waitUntil(lambda: transcript.verticalScrollBar().maximum() >= before)
    assert transcript.verticalScrollBar().value() == 40
    to_end = next(each for each in transcript.findChildren(QToolButton) if each.accessibleName() == "Go to the end")
    assert to_end.isVisible()
    to_end.click()
    assert at_end(transcript)
    assert to_end.isHidden()
    answer.feed(TextDelta("last\n\n" * 30))
    qtbot.waitUntil(lambda: at_end(transcript) and transcript.verticalScrollBar().maximum() > before)


def test_a_short_conversation_stands_at_the_top_and_is_not_stretched(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.resize(700, 900)
    transcript.show_messages(conversation(1))
    question, answer = transcript.views
    qtbot.waitUntil(lambda: question.height() == question.sizeHint().height() and answer.y() > 0)
    assert answer.height() == answer.sizeHint().height()
    assert answer.geometry().bottom() < 250


def test_what_follows_a_message_is_taken_away_with_it(transcript: Transcript) -> None:
    messages = conversation(3)
    transcript.show_messages(messages)
    transcript.remove_after(messages[3].id)
    assert ids(transcript) == [message.id for message in messages[:3]]
    assert transcript.last_answer is None


def test_clearing_leaves_nothing_of_the_old_conversation(transcript: Transcript) -> None:
    transcript.show_messages(conversation(60))
    transcript.clear()
    assert transcript.views == []
    assert not transcript.has_earlier
    assert transcript.is_following


def test_the_column_never_grows_wider_than_can_be_read(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(conversation(3))
    transcript.resize(1600, 400)
    qtbot.waitUntil(lambda: 700 < transcript.views[0].width() <= 760)
    transcript.resize(420, 400)
    qtbot.waitUntil(lambda: transcript.views[0].width() < 400)
    assert transcript.horizontalScrollBar().maximum() == 0


def test_a_message_far_up_is_brought_to_the_screen_and_stays_there(transcript: Transcript, qtbot: QtBot) -> None:
    transcript.show_messages(conversation(60))
    transcript.show_message("3-user")

    def place() -> int:
        view = next(view for view in transcript.views if isinstance(view, QuestionView) and view.message.id == "3-user")
        return view.y() - transcript.verticalScrollBar().value()

    qtbot.waitUntil(lambda: not transcript.has_earlier or len(transcript.views) >= 114)
    qtbot.waitUntil(lambda: 0 <= place() < 100)
    assert not transcript.is_following
    before = transcript.verticalScrollBar().value()
    transcript.show_message("nowhere")
    assert transcript.verticalScrollBar().value() == before
