"""Looking for several markers at once in text that is still arriving."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Found", "Markers"]


@dataclass(frozen=True, slots=True)
class Found:
    text: str
    start: int
    end: int


class Markers:
    """Immutable. Empty texts are no markers; of two at one place the longer one counts."""

    def __init__(self, markers: Iterable[str]) -> None:
        self._longest_first = sorted({marker for marker in markers if marker}, key=lambda marker: (-len(marker), marker))
        self._pattern = re.compile("|".join(map(re.escape, self._longest_first))) if self._longest_first else None

    def __bool__(self) -> bool:
        return bool(self._longest_first)

    def find(self, text: str, *, last: bool) -> Found | None:
        """The first one in `text`. None, too, while a longer one may still come at its place: not in the `last` text."""
        found = self._pattern.search(text) if self._pattern else None
        if found is None:
            return None
        if not last and self._begun_at(text, found.start(), longer_than=found.group()):
            return None
        return Found(found.group(), found.start(), found.end())

    def begun(self, text: str) -> int:
        """Where the last of `text` may be the beginning of a marker; its length where it is not."""
        for start in range(max(0, len(text) - self._longest), len(text)):
            if self._begun_at(text, start):
                return start
        return len(text)

    @property
    def _longest(self) -> int:
        return len(self._longest_first[0]) if self._longest_first else 0

    def _begun_at(self, text: str, start: int, longer_than: str = "") -> bool:
        rest = text[start : start + self._longest]
        return any(
            len(marker) > max(len(rest), len(longer_than)) and marker.startswith(rest)
            for marker in self._longest_first
            if start + len(rest) == len(text)
        )
