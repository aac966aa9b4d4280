from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.chats import MessageState, StoredMessage
from app.domain.errors import EngineCrashed, StoreError
from app.domain.generation import PrefillProgress, ReasoningDelta
from app.domain.models import LoadedModel, ModelState
from app.gui.chat.message_view import AnswerView, QuestionView
from app.gui.chat.page import ChatPage
from app.gui.chat.prose_view import PlainView, ProseView
from app.gui.chat.thumbnails import Thumbnail
from tests.gui.chat.conftest import Bench

Png = Callable[..., bytes]


@pytest.fixture
def page(bench: Bench, qtbot: QtBot) -> ChatPage:
    made = ChatPage(bench.services, bench.bridge)
    qtbot.addWidget(made)
    made.resize(900, 600)
    made.show()
    qtbot.waitUntil(lambda: made.picker.model is not None)
    made.new_conversation()
    return made


def shown(page: ChatPage) -> list[str]:
    """What can be read, message by message."""
    found = []
    for view in page.transcript.views:
        kind = PlainView if isinstance(view, QuestionView) else ProseView
        found.append("\n".join(part.toPlainText() for part in view.findChildren(kind)))
    return found


def button(parent: QWidget, name: str) -> QAbstractButton:
    found = [each for each in parent.findChildren(QAbstractButton) if name in (each.accessibleName(), each.text())]
    return next(each for each in found if each.isVisibleTo(parent))


def words(page: ChatPage) -> list[str]:
    """The small texts between the messages."""
    return [each.text() for each in page.transcript.findChildren(QLabel) if each.isVisible()]


def press(parent: QWidget, name: str, qtbot: QtBot) -> None:
    """Click a button once it is there; what was taken away may still be on its way out."""

    def found() -> list[QAbstractButton]:
        return [each for each in parent.findChildren(QAbstractButton) if each.accessibleName() == name and each.isVisible()]

    qtbot.waitUntil(lambda: len(found()) == 1)
    qtbot.mouseClick(found()[0], Qt.MouseButton.LeftButton)


def say(page: ChatPage, text: str, qtbot: QtBot) -> None:
    """Type, press Enter, and wait for the whole answer."""
    with qtbot.waitSignal(page.answer_finished):
        page.composer.set_text(text)
        qtbot.keyClick(page.composer.findChildren(QPlainTextEdit)[0], Qt.Key.Key_Return)


def kept(bench: Bench, page: ChatPage) -> tuple[StoredMessage, ...]:
    assert page.conversation is not None
    messages: tuple[StoredMessage, ...] = bench.run(bench.services.conversations.read(page.conversation.id)).messages
    return messages


def test_hello_is_answered_kept_and_named(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    say(page, "Hello", qtbot)
    assert shown(page) == ["Hello", "Hello you."]
    assert [(message.text, message.state) for message in kept(bench, page)] == [
        ("Hello", MessageState.COMPLETE),
        ("Hello you.", MessageState.COMPLETE),
    ]
    assert page.conversation is not None
    assert page.conversation.title == "Hello"
    qtbot.waitUntil(lambda: "Ember · 20 tokens · 40 tokens/s" in words(page))


def test_stop_ends_the_answer_and_keeps_what_was_written(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    bench.chat.answers = [("Once upon ", "a time", None, "never")]
    page.composer.set_text("A story")
    page.composer.send()
    qtbot.waitUntil(lambda: shown(page)[-1:] == ["Once upon a time"])
    with qtbot.waitSignal(page.answer_finished):
        qtbot.mouseClick(button(page.composer, "Stop"), Qt.MouseButton.LeftButton)
    assert shown(page) == ["A story", "Once upon a time"]
    assert (kept(bench, page)[-1].text, kept(bench, page)[-1].state) == ("Once upon a time", MessageState.STOPPED)
    assert button(page.composer, "Send")


def test_stop_at_once_is_heard_too(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    bench.chat.answers = [(None, "never")]
    page.composer.set_text("Hello")
    page.composer.send()
    qtbot.waitUntil(lambda: page.is_answering)
    with qtbot.waitSignal(page.answer_finished):
        page.stop()
    assert kept(bench, page)[-1].state is MessageState.STOPPED
    assert not page.is_answering


def test_regenerating_keeps_both_answers_and_switches_between_them(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    bench.chat.answers = [("One.",), ("Two.",), ("Three.",)]
    say(page, "Count", qtbot)
    for _ in range(2):
        with qtbot.waitSignal(page.answer_finished):
            press(page.transcript, "Answer again", qtbot)
    assert shown(page) == ["Count", "Three."]
    with qtbot.waitSignal(page.conversation_opened):
        press(page.transcript, "Previous answer", qtbot)
    assert shown(page) == ["Count", "Two."]
    qtbot.waitUntil(lambda: "2/3" in words(page))
    assert [len(request.messages) for request in bench.chat.requests] == [1, 1, 1]


def test_a_pasted_picture_is_asked_about_and_shown(page: ChatPage, bench: Bench, qtbot: QtBot, png: Png) -> None:
    QApplication.clipboard().setImage(QImage.fromData(png(300, 200)))
    page.composer.findChildren(QPlainTextEdit)[0].paste()
    qtbot.waitUntil(lambda: len(page.composer.pictures) == 1)
    say(page, "What is it?", qtbot)
    (message,) = bench.chat.requests[0].messages
    assert QImage.fromData(message.images[0].data).size().toTuple() == (300, 200)
    (small,) = page.transcript.findChildren(Thumbnail)
    qtbot.waitUntil(lambda: small.width() == 220 and small.height() in (146, 147))


def test_an_example_is_sent_with_its_picture(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    with qtbot.waitSignal(page.answer_finished):
        button(page.welcome, "What is in this picture?").click()
    (message,) = bench.chat.requests[0].messages
    assert message.text == "What is in this picture?"
    assert len(message.images) == 1


def test_everything_is_there_when_a_chat_is_opened_again(page: ChatPage, bench: Bench, qtbot: QtBot, png: Png) -> None:
    bench.chat.answers = [(ReasoningDelta("Let me see."), "A **red** field."), ("Yes.",)]
    page.composer.attach_image(png())
    say(page, "What is it?", qtbot)
    say(page, "Sure?", qtbot)
    before, conversation = shown(page), page.conversation
    assert conversation is not None
    page.new_conversation()
    assert shown(page) == []
    with qtbot.waitSignal(page.conversation_opened):
        page.open_conversation(conversation.id)
    assert shown(page)[0::2] == before[0::2] == ["What is it?", "Sure?"]
    assert "A red field." in shown(page)[1]
    assert button(page.transcript, "Show or hide the model's thoughts")
    assert len(page.transcript.findChildren(Thumbnail)) == 1


def test_a_crash_is_told_in_plain_words_and_tried_again(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    bench.chat.answers = [("Half an ans", EngineCrashed(exit_code=-6)), ("A whole answer.",)]
    page.composer.set_text("Hello")
    with qtbot.waitSignal(page.answer_failed):
        page.composer.send()
    qtbot.waitUntil(lambda: kept(bench, page)[-1].state is MessageState.FAILED and not page.is_answering)
    assert shown(page) == ["Hello", "Half an ans"]
    qtbot.waitUntil(lambda: "stopped unexpectedly" in " ".join(words(page)))
    qtbot.waitUntil(lambda: cast(AnswerView, page.transcript.views[-1]).message is not None)
    with qtbot.waitSignal(page.answer_finished):
        press(page.transcript, "Try again", qtbot)
    assert shown(page) == ["Hello", "A whole answer."]


def test_an_answer_goes_on_while_another_chat_is_read(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    bench.chat.answers = [("First half, ", None, "second half.")]
    page.composer.set_text("Go")
    page.composer.send()
    qtbot.waitUntil(lambda: shown(page)[-1:] == ["First half,"])
    first = page.conversation
    assert first is not None
    page.new_conversation()
    assert not page.is_answering
    assert button(page.composer, "Send")
    with qtbot.waitSignal(page.conversation_opened):
        page.open_conversation(first.id)
    assert page.is_answering
    assert shown(page) == ["Go", "First half,"]
    with qtbot.waitSignal(page.answer_finished):
        bench.chat.proceed()
    assert shown(page) == ["Go", "First half, second half."]


def test_what_can_not_be_kept_is_not_lost(page: ChatPage, bench: Bench, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object, **__: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(bench.services.conversations, "create", full)
    page.composer.set_text("Important words")
    page.composer.send()
    qtbot.waitUntil(lambda: page.composer.text == "Important words")
    assert "The disk is full." in page.problem.text
    assert page.problem.isVisible()


def test_reading_and_loading_are_told_while_there_is_no_answer_yet(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    bench.chat.answers = [(PrefillProgress(50, 200, 0), None, "Done.")]
    page.composer.set_text("Hello")
    page.composer.send()
    qtbot.waitUntil(lambda: "Reading… 25 %" in words(page))
    bench.on_loop(lambda: cast(Any, bench.services.models).put(LoadedModel("ember", ModelState.LOADING, 0.5)))
    qtbot.waitUntil(lambda: "Loading Ember… 50 %" in words(page))
    with qtbot.waitSignal(page.answer_finished):
        bench.chat.proceed()


def test_the_line_about_ember_goes_with_ember(page: ChatPage, qtbot: QtBot) -> None:
    def lines() -> list[str]:
        return [label.text() for label in page.findChildren(QLabel) if label.isVisible() and "tiny model for" in label.text()]

    assert lines()
    page.picker.use("blind-7b")
    assert not lines()


def test_a_chat_that_is_deleted_while_it_is_open_leaves_an_empty_page(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    say(page, "Hello", qtbot)
    assert page.conversation is not None
    with qtbot.waitSignal(page.conversation_opened):
        bench.run(bench.services.conversations.delete(page.conversation.id))
    assert page.conversation is None
    assert page.welcome.isVisible()


def test_a_model_answers_as_its_file_recommends_but_the_built_in_one_draws_another_answer(
    page: ChatPage, bench: Bench, qtbot: QtBot
) -> None:
    say(page, "Hello", qtbot)
    with qtbot.waitSignal(page.answer_finished):
        press(page.transcript, "Answer again", qtbot)
    page.picker.use("blind-7b")
    say(page, "And you?", qtbot)
    assert [request.sampling.temperature for request in bench.chat.requests] == [None, 0.8, None]


def test_two_quick_messages_stay_in_one_chat(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    page.composer.set_text("First")
    page.composer.send()
    page.composer.set_text("Second")
    with qtbot.waitSignal(page.answer_finished):
        page.composer.send()
    assert shown(page)[0] == "First"
    assert page.composer.text == "Second"
    assert len(bench.run(bench.services.conversations.list())) == 1


def test_deleting_another_chat_stops_what_is_written_in_it_quietly(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    bench.chat.answers = [("Half", None), ("Whole.",)]
    page.composer.set_text("Go")
    page.composer.send()
    qtbot.waitUntil(lambda: shown(page)[-1:] == ["Half"])
    assert page.conversation is not None
    first = page.conversation.id
    page.new_conversation()
    bench.run(bench.services.conversations.delete(first))
    say(page, "Hello", qtbot)
    assert shown(page) == ["Hello", "Whole."]
    assert page.problem.isHidden()


def test_a_link_is_shown_before_it_is_opened(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    bench.chat.answers = [("[a page](https://example.org/?q=<b>)",)]
    say(page, "Hello", qtbot)
    (prose,) = [part for part in page.transcript.findChildren(ProseView) if "a page" in part.toPlainText()]
    prose.anchorClicked.emit(QUrl("https://example.org/?q=1"))
    (box,) = page.findChildren(QMessageBox)
    assert box.informativeText() == "https://example.org/?q=1"
    assert box.textFormat() == Qt.TextFormat.PlainText
    with qtbot.waitSignal(box.finished):
        box.button(QMessageBox.StandardButton.Cancel).click()
    prose.anchorClicked.emit(QUrl("file:///etc/passwd"))
    assert len([each for each in page.findChildren(QMessageBox) if each.isVisible()]) == 0


def test_a_picture_may_be_dropped_anywhere_on_the_page(page: ChatPage, qtbot: QtBot, png: Png, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png())
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / "red.png"))])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(page, QDragEnterEvent(QPoint(9, 9), Qt.DropAction.CopyAction, mime, left, none))
    QApplication.sendEvent(page, QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, mime, left, none))
    qtbot.waitUntil(lambda: [picture.name for picture in page.composer.pictures] == ["red.png"])


def test_a_chat_that_does_not_exist_is_told(page: ChatPage, qtbot: QtBot) -> None:
    page.open_conversation("nothing")
    qtbot.waitUntil(lambda: "does not exist" in page.problem.text)


def test_every_control_has_an_accessible_name(page: ChatPage, bench: Bench, qtbot: QtBot, png: Png) -> None:
    bench.chat.answers = [(ReasoningDelta("Hm."), "```python\nx\n```\n\n| a |\n|---|\n| b |\n")]
    page.composer.attach_image(png())
    say(page, "Hello", qtbot)
    page.composer.attach_image(png())
    kinds = (QAbstractButton, QLineEdit, QPlainTextEdit, Thumbnail)
    controls = [each for kind in kinds for each in page.findChildren(kind) if each.objectName() != "qt_toolbar_ext_button"]
    nameless = [each for each in controls if not each.accessibleName() and not getattr(each, "text", str)()]
    assert nameless == []
    assert any(isinstance(each, QPushButton) for each in controls)


def test_thinking_is_switched_for_one_model_and_kept(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    think = next(each for each in page.composer.findChildren(QAbstractButton) if each.text() == "Think")
    assert not think.isVisible()
    page.picker.use("blind-7b")
    qtbot.waitUntil(think.isVisible)
    assert think.isChecked()
    qtbot.mouseClick(think, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "blind-7b" in bench.services.settings.current.models)
    assert bench.services.settings.current.models["blind-7b"].reasoning_effort == "none"
    qtbot.mouseClick(think, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bench.services.settings.current.models["blind-7b"].reasoning_effort == "on")
    page.picker.use("ember")
    qtbot.waitUntil(lambda: not think.isVisible())


def test_a_model_that_turns_out_not_to_think_has_no_switch_for_it(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    cast(Any, bench.services.models).thinking = None
    page.picker.use("blind-7b")
    qtbot.waitUntil(lambda: cast(Any, bench.services.models).asked == ["blind-7b"])
    think = next(each for each in page.composer.findChildren(QAbstractButton) if each.text() == "Think")
    assert not think.isVisible()


def test_a_message_of_another_branch_is_shown_in_it(page: ChatPage, bench: Bench, qtbot: QtBot) -> None:
    bench.chat.answers = [("one apple",), ("two pears",)]
    say(page, "Fruit?", qtbot)
    first = kept(bench, page)[-1]
    with qtbot.waitSignal(page.answer_finished):
        press(page.transcript, "Answer again", qtbot)
    assert shown(page) == ["Fruit?", "two pears"]
    page.new_conversation()
    page.open_message(first.id)
    qtbot.waitUntil(lambda: shown(page) == ["Fruit?", "one apple"])
