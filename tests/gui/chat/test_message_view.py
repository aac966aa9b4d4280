from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from app.chats import Attachment, MessageState, StoredMessage
from app.domain.generation import FinishReason, PrefillProgress, ReasoningDelta, TextDelta, Timings, Usage
from app.domain.messages import Role
from app.gui.chat.message_view import AnswerView, QuestionView
from app.gui.chat.prose_view import PlainView

ANSWER = StoredMessage(
    id="b",
    conversation_id="c",
    parent_id="a",
    role=Role.ASSISTANT,
    text="Yes, **indeed**.",
    state=MessageState.COMPLETE,
    created=datetime(2026, 1, 1, tzinfo=UTC),
    model="ember",
    alternatives=("b",),
    usage=Usage(10, 30),
    timings=Timings(0.0, 0.2, 4.0),
    finish_reason=FinishReason.STOP,
)


@pytest.fixture
def view(qtbot: QtBot) -> AnswerView:
    made = AnswerView()
    qtbot.addWidget(made)
    made.resize(600, 300)
    return made


def words(view: QWidget) -> list[str]:
    return [label.text() for label in view.findChildren(QLabel) if label.text() and not label.isHidden()]


def names(view: QWidget) -> list[str]:
    return [each.accessibleName() or each.text() for each in view.findChildren(QAbstractButton)]


def press(view: QWidget, name: str) -> None:
    next(each for each in view.findChildren(QAbstractButton) if name in (each.accessibleName(), each.text())).click()


def test_a_finished_answer_says_by_whom_and_how_fast(view: AnswerView) -> None:
    view.show_message(ANSWER, model_name="Ember")
    assert words(view) == ["Ember · 30 tokens · 7.5 tokens/s"]
    assert names(view) == ["Copy answer", "Answer again"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": MessageState.STOPPED, "usage": None, "timings": None}, "Ember · stopped"),
        ({"finish_reason": FinishReason.LENGTH, "usage": None}, "Ember · cut off: the context is full"),
    ],
)
def test_an_answer_that_ended_early_says_why(view: AnswerView, changes: dict[str, object], said: str) -> None:
    view.show_message(dataclasses.replace(ANSWER, **changes), model_name="Ember")  # type: ignore[arg-type]
    assert words(view) == [said]


def test_copying_gives_the_markdown(view: AnswerView) -> None:
    view.show_message(ANSWER, model_name="Ember")
    press(view, "Copy answer")
    assert QApplication.clipboard().text() == "Yes, **indeed**."


def test_alternatives_can_be_reached_in_both_directions(view: AnswerView) -> None:
    chosen: list[str] = []
    view.chosen.connect(chosen.append)
    view.show_message(dataclasses.replace(ANSWER, alternatives=("a", "b", "c")), model_name="Ember")
    assert "2/3" in words(view)
    press(view, "Previous answer")
    press(view, "Next answer")
    assert chosen == ["a", "c"]


def test_the_first_alternative_has_none_before_it(view: AnswerView) -> None:
    view.show_message(dataclasses.replace(ANSWER, alternatives=("b", "c")), model_name="Ember")
    states = {each.accessibleName(): each.isEnabled() for each in view.findChildren(QAbstractButton)}
    assert (states["Previous answer"], states["Next answer"]) == (False, True)


def test_a_failure_without_a_word_offers_only_to_try_again(view: AnswerView, qtbot: QtBot) -> None:
    failed = dataclasses.replace(ANSWER, text="", state=MessageState.FAILED, error="It broke.")
    view.show_message(failed, model_name="Ember")
    assert words(view) == ["It broke."]
    assert names(view) == ["Try again"]
    with qtbot.waitSignal(view.again):
        press(view, "Try again")


def test_the_sentence_shown_first_stays(view: AnswerView) -> None:
    view.fail("In plain words.")
    view.settle(dataclasses.replace(ANSWER, state=MessageState.FAILED, error="In a log's words."), model_name="Ember")
    assert words(view)[0] == "In plain words."


def test_what_goes_on_is_said_until_the_first_word(view: AnswerView) -> None:
    view.say("Thinking…")
    view.feed(PrefillProgress(1, 4, 0))
    assert words(view) == ["Reading… 25 %"]
    view.feed(TextDelta("Yes"))
    assert words(view) == []
    assert view.is_growing


def test_thoughts_are_folded_away_and_read_on_demand(view: AnswerView) -> None:
    view.feed(ReasoningDelta("Let me "))
    view.feed(ReasoningDelta("think."))
    (fold,) = view.findChildren(QAbstractButton)
    assert fold.text() == "Thinking…"
    assert view.findChildren(PlainView) == []
    fold.click()
    view.feed(ReasoningDelta(" More."))
    view.feed(TextDelta("Yes."))
    view.end()
    assert fold.text() == "Thoughts"
    texts = [part.toPlainText() for part in view.findChildren(QWidget) if hasattr(part, "toPlainText")]
    assert sorted(texts) == ["Let me think. More.", "Yes."]


def test_a_question_is_shown_as_it_was_typed(qtbot: QtBot) -> None:
    text = "**not bold** <b>nor this</b>\n  indented"
    question = QuestionView(dataclasses.replace(ANSWER, role=Role.USER, text=text))
    qtbot.addWidget(question)
    (plain,) = question.findChildren(PlainView)
    assert plain.toPlainText() == text


def test_a_bubble_is_as_wide_as_its_text_and_no_wider_than_the_column(qtbot: QtBot) -> None:
    widths = []
    for text in ("Hi", "word " * 200):
        question = QuestionView(dataclasses.replace(ANSWER, role=Role.USER, text=text))
        qtbot.addWidget(question)
        question.resize(600, 200)
        question.show()
        widths.append(question.findChildren(PlainView)[0].width())
    assert widths[0] < 60
    assert 400 < widths[1] < 500


def test_pictures_alone_make_no_empty_bubble(qtbot: QtBot) -> None:
    message = dataclasses.replace(ANSWER, role=Role.USER, text="", attachments=(Attachment("abc", "red.png", 3),))
    question = QuestionView(message)
    qtbot.addWidget(question)
    assert question.findChildren(PlainView) == []
    assert [sha256 for sha256, _ in question.pictures] == ["abc"]
