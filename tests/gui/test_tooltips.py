from __future__ import annotations

import pytest
from PySide6.QtGui import Qt, QTextDocument
from PySide6.QtWidgets import QApplication

from app.gui.tooltips import plain_tooltip


@pytest.mark.parametrize(
    "text",
    [
        "The model '<img src=http://example.org/a.png>' is not installed.",
        "a  <b>bold</b> title\n12:00",
        "a &lt;b&gt; & c",
        "<br>",
    ],
)
def test_what_looks_like_html_is_shown_as_it_is_written(qapp: QApplication, text: str) -> None:
    shown = QTextDocument()
    made = plain_tooltip(text)
    shown.setHtml(made)
    assert Qt.mightBeRichText(made)
    assert shown.toPlainText() == text


def test_any_other_text_stays_as_it_is() -> None:
    for text in ("", "/models/a & b.gguf", "1 < 2", "It is\nincomplete."):
        assert plain_tooltip(text) == text
