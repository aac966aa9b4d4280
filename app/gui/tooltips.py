"""Tooltips of texts that come from elsewhere: names, paths, errors."""

from __future__ import annotations

import html

from PySide6.QtGui import Qt

__all__ = ["plain_tooltip"]


def plain_tooltip(text: str) -> str:
    """`text`, so that a tooltip shows it as it is written: it takes for HTML what looks like it."""
    return f'<p style="white-space: pre-wrap">{html.escape(text)}</p>' if Qt.mightBeRichText(text) else text
