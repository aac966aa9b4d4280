"""Markdown and HTML."""

from __future__ import annotations

from datetime import UTC, datetime

from app.chats import NewPicture
from app.chats.exchange import ArchivedConversation, ArchivedMessage, to_html, to_markdown
from app.domain.messages import Role

THEN = datetime(2026, 5, 4, tzinfo=UTC)
PNG = b"\x89PNG picture"


def conversation(answer: str, question: str = "Which?") -> ArchivedConversation:
    asked = ArchivedMessage("q", None, Role.USER, question, THEN, pictures=(NewPicture(PNG, "a.png"),))
    other = ArchivedMessage("o", "q", Role.ASSISTANT, "Not shown", THEN, chosen=False)
    answered = ArchivedMessage("a", "q", Role.ASSISTANT, answer, THEN, reasoning="Let me\nsee.", model="ember")
    return ArchivedConversation("c", "Shapes & <sizes>", "ember", THEN, THEN, (asked, other, answered))


def test_markdown_has_what_is_shown_in_order() -> None:
    written = to_markdown(conversation("A **circle**."), you="Du")
    assert written.startswith("# Shapes & <sizes>\n\n## Du\n\n![a.png](data:image/png;base64,")
    assert written.endswith("\n\nWhich?\n\n## ember\n\n> Let me\n> see.\n\nA **circle**.\n")
    assert "Not shown" not in written


def test_a_page_shows_markdown_of_answers_and_what_was_typed_as_it_was_typed() -> None:
    page = to_html(conversation("A **circle**.\n\n| a | b |\n|---|---|\n| 1 | 2 |", question="1 < 2 **so**"))
    assert "<strong>circle</strong>" in page
    assert "<table>" in page
    assert "1 &lt; 2 **so**" in page
    assert "<title>Shapes &amp; &lt;sizes&gt;</title>" in page
    assert "<details>" in page


def test_a_page_asks_nobody_for_anything_whatever_a_model_wrote() -> None:
    page = to_html(conversation("<script>alert(1)</script> ![x](https://tracker.example/a.png) [y](javascript:alert(1))"))
    assert "<script" not in page
    assert 'src="https' not in page
    assert 'href="javascript' not in page
    assert "default-src 'none'" in page
    assert '<a href="https://tracker.example/a.png" rel="noreferrer">x</a>' in page
