from __future__ import annotations

import time

import pytest

from app.gui.models.card_text import card_markdown

_BASE = "https://hub.example/acme/small/blob/main/"


@pytest.mark.parametrize(
    ("card", "shown"),
    [
        ('<div align="center"><h1>Small</h1></div>', "# Small"),
        ('<a href="https://x.example">Read</a>', "[Read](https://x.example)"),
        ('<a href="https://x.example"><img src="badge.png"></a>text', "text"),
        ("[![badge](b.png)](https://x.example) text", "text"),
        ("before ![picture](http://tracker.example/x.png) after", "before  after"),
        ("<b>bold</b> and <i>slanted</i>", "**bold** and *slanted*"),
        ("<ul><li>one</li><li>two</li></ul>", "- one\n\n- two"),
        ("<!-- hidden\n\nlines -->shown", "shown"),
        ("<!-- never closed", ""),
        ("<script>alert(1)</script>shown", "shown"),
        ("a <think>thought</think> and `<div>`", "a <think>thought</think> and `<div>`"),
        ("```html\n<div>kept</div>\n```\n<div>gone</div>", "```html\n<div>kept</div>\n```\n\ngone"),
        ("```\n<b>kept, though never closed", "```\n<b>kept, though never closed"),
        ("3 < 4 and 5 > 2", "3 < 4 and 5 > 2"),
        (
            "[licence](LICENSE) [top](#top) [out](https://x.example)",
            f"[licence]({_BASE}LICENSE) [top](#top) [out](https://x.example)",
        ),
    ],
)
def test_html_becomes_markdown_or_nothing(card: str, shown: str) -> None:
    assert card_markdown(card, base=_BASE) == shown


@pytest.mark.parametrize(
    "piece", ["<!--", "[", "![", "](", "`", "``` ", "<a ", "<div", "<script", "~~~\n", "\n \t", "[ ", "<a href='"]
)
def test_a_card_made_to_be_slow_is_not(piece: str) -> None:
    card = piece * (60_000 // len(piece))
    began = time.perf_counter()
    card_markdown(card, base=_BASE)
    assert time.perf_counter() - began < 2


def test_a_card_of_nothing_but_ticks_is_read_at_once() -> None:
    started = time.process_time()
    card_markdown("x" + "`" * 59_000)
    card_markdown(("`" * 21 + "x") * 2000)
    # It took half a minute while every run was tried from every one of its ticks.
    assert time.process_time() - started < 3
