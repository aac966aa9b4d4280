"""Finding a marker in text that is still arriving. Blanks don't count: models differ in them, and in whether they write any."""

from __future__ import annotations

from app.formats.json_scan import Scan

__all__ = ["BLANKS", "behind_blanks", "expect", "expect_any", "find"]

BLANKS = " \t\r\n"


def behind_blanks(text: str, start: int) -> int:
    """Where the blanks that begin at `start` end."""
    while start < len(text) and text[start] in BLANKS:
        start += 1
    return start


def expect(text: str, start: int, wanted: str) -> tuple[Scan, int]:
    """Whether `wanted` stands at `start`, blanks of both aside; DONE with the position behind it, MORE if it may still come."""
    at = start
    for character in wanted:
        if character in BLANKS:
            continue
        at = behind_blanks(text, at)
        if at == len(text):
            return Scan.MORE, start
        if text[at] != character:
            return Scan.BROKEN, start
        at += 1
    return Scan.DONE, at


def expect_any(text: str, start: int, wanted: tuple[str, ...]) -> tuple[Scan, int]:
    """As `expect`, for the first of several that stands there. Empty ones are never there."""
    status = Scan.BROKEN
    for one in wanted:
        found, at = expect(text, start, one) if one.strip() else (Scan.BROKEN, start)
        if found is Scan.DONE:
            return found, at
        if found is Scan.MORE:
            status = found
    return status, start


def find(text: str, start: int, wanted: str) -> tuple[Scan, int, int]:
    """Where `wanted` begins and ends from `start` on.

    MORE means that it isn't there; the first position is then where it may have begun, the end of the text if nowhere.
    """
    head = wanted.lstrip()[:1]
    at = text.find(head, start)
    while at >= 0:
        status, end = expect(text, at, wanted)
        if status is not Scan.BROKEN:
            return status, at, end
        at = text.find(head, at + 1)
    return Scan.MORE, len(text), len(text)
