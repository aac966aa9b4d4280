"""The `pattern` of a JSON Schema as a regular expression that a whole text has to match."""

from __future__ import annotations

import re
from functools import lru_cache

import llguidance

__all__ = ["whole_pattern"]

_PIECE = re.compile(r"\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\.|\(\?:|\(\?.|.", re.DOTALL)
_ANY = "(?s:.*)"
# No pieces of their own: what they say is said by what stands around a branch.
_START, _END = "\0^", "\0$"
_ANCHORS = {"^": _START, "$": _END}
# ECMAScript means ASCII by these.
_CLASSES = {r"\d": "0-9", r"\w": "A-Za-z0-9_"}
_NEGATED = {r"\D": "[^0-9]", r"\W": "[^A-Za-z0-9_]"}
_ESCAPES = frozenset([r"\n", r"\t", r"\r", r"\f", r"\v", r"\s", r"\S"])
# A longer one is more than a text's terminal should cost.
_MAX_CHARS = 500


@lru_cache(maxsize=256)
def whole_pattern(pattern: str) -> str | None:
    """In Rust's notation, to stand between slashes; None for what can't be said so: looking around, looking back."""
    if len(pattern) > _MAX_CHARS:
        return None
    translated = _translated(pattern)
    if translated is None:
        return None
    grammar = llguidance.LLMatcher.grammar_from_lark(f"%llguidance {{}}\nstart: /{translated}/\n")
    return None if llguidance.LLMatcher.validate_grammar(grammar) else translated


def _translated(pattern: str) -> str | None:
    branches: list[list[str]] = [[]]
    depth, in_class = 0, False
    for piece in _PIECE.findall(pattern):
        written = _in_class(piece) if in_class else _outside(piece)
        if written is None:
            return None
        if in_class:
            in_class = piece != "]"
        elif piece == "[":
            in_class = True
        elif piece in ("(", "(?:"):
            depth += 1
        elif piece == ")":
            depth -= 1
        if piece == "|" and not depth and not in_class:
            branches.append([])
        else:
            branches[-1].append(written)
    wholes = [_whole(branch) for branch in branches]
    return None if in_class or depth or None in wholes else "|".join(f"({whole})" for whole in wholes)


def _outside(piece: str) -> str | None:
    if piece in _CLASSES:
        return f"[{_CLASSES[piece]}]"
    if piece in _NEGATED:
        return _NEGATED[piece]
    if piece in _ANCHORS:
        return _ANCHORS[piece]
    return "(?:" if piece == "(" else _common(piece)


def _in_class(piece: str) -> str | None:
    if piece in _CLASSES:
        return _CLASSES[piece]
    # Rust's classes nest and have operators.
    return f"\\{piece}" if piece in ("[", "&", "~") else _common(piece)


def _common(piece: str) -> str | None:
    if piece in ("/", r"\/"):
        return r"\x2f"
    if piece == "\n":
        return r"\n"
    if len(piece) == 2 and piece[0] == "\\" and piece[1].isascii() and piece[1].isalnum():
        return piece if piece in _ESCAPES else None
    return None if len(piece) == 3 and piece.startswith("(?") and piece != "(?:" else piece


def _whole(branch: list[str]) -> str | None:
    """A branch of the pattern, which may match anywhere in a text where no anchor says otherwise."""
    start, end = branch[:1] == [_START], branch[-1:] == [_END]
    inner = branch[start : len(branch) - end]
    if _START in inner or _END in inner:
        return None
    return f"{'' if start else _ANY}{''.join(inner)}{'' if end else _ANY}"
