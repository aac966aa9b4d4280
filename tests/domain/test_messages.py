from __future__ import annotations

from app.domain.messages import ImagePart, Message, Role, TextPart


def test_text_and_pictures_are_told_apart() -> None:
    message = Message(Role.USER, (TextPart("What is "), ImagePart(b"png"), TextPart("this?")))
    assert message.text == "What is this?"
    assert message.images == (ImagePart(b"png"),)
    assert Message.of(Role.SYSTEM, "Be kind.").parts == (TextPart("Be kind."),)
