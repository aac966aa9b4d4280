"""A repository's README as people read it."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_CARD_BYTES", "card_text"]

MAX_CARD_BYTES: Final = 512 << 10
# Between two lines of three hyphens at the very beginning: YAML for the hub's own use.
_FRONT_MATTER: Final = re.compile(r"\A\s*---[ \t]*\n(?:.*?\n)??---[ \t]*(?:\n|\Z)", re.DOTALL)


def card_text(readme: str) -> str:
    """Its Markdown without front matter; one that is too long ends at a whole line."""
    text = readme.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = _FRONT_MATTER.sub("", text, count=1).strip()
    if len(readme.encode()) < MAX_CARD_BYTES:
        return text
    return f"{text[: text.rfind(chr(10)) + 1].rstrip()}\n\n…"
