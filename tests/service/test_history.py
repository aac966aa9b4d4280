from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.chats import Attachment, MessageState, StoredMessage
from app.domain.messages import ImagePart, Role, TextPart
from app.service.history import prompt_messages, title_of


def kept(role: Role, text: str, **more: object) -> StoredMessage:
    values = {"state": MessageState.COMPLETE, **more}
    return StoredMessage("id", "conversation", None, role, text, created=datetime.now(UTC), **values)  # type: ignore[arg-type]


def test_pictures_come_before_the_text_they_are_asked_about() -> None:
    attachment = Attachment("abc", "red.png", 3)
    (message,) = prompt_messages(
        [kept(Role.USER, "What is it?", attachments=(attachment,))], system_prompt="", picture=lambda sha256: sha256.encode()
    )
    assert message.parts == (ImagePart(b"abc"), TextPart("What is it?"))


def test_an_answer_without_words_is_left_out_and_the_questions_joined() -> None:
    messages = [kept(Role.USER, "One?"), kept(Role.ASSISTANT, "", state=MessageState.FAILED), kept(Role.USER, "Two?")]
    (message,) = prompt_messages(messages, system_prompt="", picture=bytes.fromhex)
    assert message.text == "One?\n\nTwo?"


def test_earlier_reasoning_is_given_to_the_template_and_the_system_prompt_comes_first() -> None:
    messages = [kept(Role.USER, "Hello"), kept(Role.ASSISTANT, "Hi", reasoning="They greet me.")]
    system, _user, answer = prompt_messages(messages, system_prompt="Be brief.", picture=bytes.fromhex)
    assert (system.role, system.text) == (Role.SYSTEM, "Be brief.")
    assert (answer.text, answer.reasoning) == ("Hi", "They greet me.")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello", "Hello"),
        ("\n\n  ## What **is**   this?\nMore", "What is this?"),
        ("", ""),
        ("word " * 30, "word word word word word word word word word…"),
    ],
)
def test_a_title_is_the_first_line_without_markup_and_cut_between_words(text: str, title: str) -> None:
    assert title_of(text) == title
