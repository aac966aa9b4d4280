"""Writing a grammar in llguidance's dialect of Lark."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from app.formats.spec import TAG

__all__ = ["ANY_TEXT", "Lark", "escaped_regex"]

ANY_TEXT = "(?s:.*)"


class Lark:
    """Rules and terminals, gathered under names of their own.

    Each marker gets a rule: in many vocabularies it is one special token, which no string matches.
    """

    def __init__(self) -> None:
        self._rules: list[str] = []
        self._names: set[str] = set()
        self._markers: list[str] = []

    @property
    def markers(self) -> tuple[str, ...]:
        return tuple(self._markers)

    def rule(self, name: str, body: str) -> str:
        """Add a rule and return its name; a name that is there already keeps its rule."""
        if name not in self._names:
            self._names.add(name)
            self._rules.append(f"{name}: {body}")
        return name

    def reserve(self, name: str) -> bool:
        """Whether `name` was free; it is taken now, for a rule that is added later with `define`."""
        if name in self._names:
            return False
        self._names.add(name)
        return True

    def define(self, name: str, body: str) -> None:
        self._rules.append(f"{name}: {body}")

    def text(self, text: str) -> str:
        """What matches exactly `text`; nothing for no text, which Lark does not take."""
        found = [*TAG.findall(text), ""]
        words = (f"{_quoted(between)} {self._marker(tag)}" for between, tag in zip(TAG.split(text), found, strict=True))
        return " ".join(words).strip()

    def text_until(self, name: str, end: str, texts: Sequence[str] = (ANY_TEXT,)) -> str:
        """A text and the `end` behind it, the first marker of which the text does not contain. It matches all of `texts`, which
        are regular expressions.

        Where that marker is a special token it follows the text; where it is none, text and marker have to be one terminal: a
        terminal takes as much as it can, and would begin to take the marker.
        """
        found = TAG.search(end)
        first = end[: found.end()] if found else end
        marker = found.group() if found else end.strip()
        lead = escaped_regex(first[: first.index(marker)])
        inside, behind = escaped_regex(marker), self.text(end[len(first) :])
        spelled = self.rule(
            f"{name}_SPELLED", " & ".join((*(f"/({text}){lead}{inside}/" for text in texts), f"~/(?s:.*){inside}(?s:.+)/"))
        )
        if found is None:
            return f"{spelled} {behind}"
        alone = self.rule(name, " & ".join((*(f"/({text}){lead}/" for text in texts), f"~/(?s:.*){inside}(?s:.*)/")))
        return f"({spelled} | {alone} {self._marker(marker)}) {behind}"

    def written(self, start: str) -> str:
        markers = [f"marker_{index}: {json.dumps(marker)}" for index, marker in enumerate(self._markers)]
        return "\n".join(["%llguidance {}", f"start: {start}", *self._rules, *markers]) + "\n"

    def _marker(self, text: str) -> str:
        if not text:
            return ""
        if text not in self._markers:
            self._markers.append(text)
        return f"marker_{self._markers.index(text)}"


def _quoted(text: str) -> str:
    return json.dumps(text) if text else ""


def escaped_regex(text: str) -> str:
    """A regular expression of Rust's kind, between slashes, that matches exactly `text`."""
    return re.sub(r"[^A-Za-z0-9_ ]", lambda found: f"\\x{{{ord(found.group()):x}}}", text)
