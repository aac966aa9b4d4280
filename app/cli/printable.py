"""Text of others, such as the name of a file, on its way to a terminal."""

from __future__ import annotations

from rich.markup import escape

__all__ = ["cell", "printable"]


def printable(text: str) -> str:
    """Without what would command the terminal, or what no encoding has; lines stay lines."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def cell(text: str) -> str:
    """The same for a table, which must not take it for markup."""
    return escape(printable(text))
