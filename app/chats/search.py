"""Finding words in what was said."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import Final

from app.chats.records import SearchHit
from app.chats.rows import CONVERSATION_COLUMNS, conversation_of

__all__ = ["found"]

# The index knows three letters and more; shorter words are looked for in every text.
_INDEXED: Final = 3
_BEFORE: Final = 30
_AFTER: Final = 90

_HITS: Final = """
SELECT {columns}, hit.id AS message, hit.text AS text
FROM conversation
LEFT JOIN (
    SELECT message.id, message.conversation, message.text, max(message.number)
    FROM message {source}
    WHERE state <> 'growing' AND {in_text}
    GROUP BY message.conversation
) AS hit ON hit.conversation = conversation.id
WHERE deleted IS NULL AND (hit.id IS NOT NULL OR {in_title})
ORDER BY updated DESC, conversation.rowid DESC
LIMIT ?
"""


def found(connection: sqlite3.Connection, text: str, limit: int) -> Iterator[SearchHit]:
    """See `ChatStore.search`. Of several messages of a conversation the latest is told."""
    # SQLite knows capitals of ASCII only, and ends a text at a NUL.
    connection.create_function("folded", 1, str.casefold, deterministic=True)
    words = tuple(dict.fromkeys(text.replace("\0", " ").casefold().split()))
    if not words:
        return
    long, short = [word for word in words if len(word) >= _INDEXED], [word for word in words if len(word) < _INDEXED]
    conditions = ["message_text MATCH ?"] if long else []
    values = [" ".join('"' + word.replace('"', '""') + '"' for word in long)] if long else []
    conditions += ["folded(message.text) LIKE ? ESCAPE '\\'"] * len(short)
    values += map(_pattern, short)
    query = _HITS.format(
        columns=", ".join(f"conversation.{name.strip()}" for name in CONVERSATION_COLUMNS.split(",")),
        source="JOIN message_text ON message_text.rowid = message.number" if long else "",
        in_text=" AND ".join(conditions),
        in_title=" AND ".join(["folded(title) LIKE ? ESCAPE '\\'"] * len(words)),
    )
    for row in connection.execute(query, (*values, *map(_pattern, words), limit)):
        snippet, marks = _snippet(row["text"], words) if row["message"] else ("", ())
        yield SearchHit(conversation_of(row), row["message"], snippet, marks)


def _pattern(word: str) -> str:
    return "%" + re.sub(r"([%_\\])", r"\\\1", word) + "%"


def _snippet(text: str, words: tuple[str, ...]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text around the first of the words, and where words stand in it."""
    pattern = re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))), re.IGNORECASE)
    first = pattern.search(text)
    start = max(0, first.start() - _BEFORE) if first else 0
    end = start + _BEFORE + _AFTER
    cut = re.sub(r"\s", " ", text[start:end])
    shown = f"{'…' if start else ''}{cut}{'…' if end < len(text) else ''}"
    return shown, tuple(match.span() for match in pattern.finditer(shown))
