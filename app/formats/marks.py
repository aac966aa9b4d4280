"""Telling a person's text from the template's own after both went through the template.

Content is put between rare characters that occur nowhere in the request; after rendering, what lies between them is plain
text and the rest is the template's. Templates may cut content (at `</think>`, say), so a lost mark is no error: what is
left of the content is found again from the mark that is still there.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.domain.errors import InvalidRequest

__all__ = ["RISKY", "MarkedText", "Marks", "Run", "common_prefix"]

# What special tokens are spelled with, in every vocabulary known to us.
RISKY = re.compile("[<>\\[\\]|｜▁]")
_WORD = re.compile(r"\S+")
# Cuneiform signs and Egyptian hieroglyphs: letters without case, which Python's repr writes as they are. JSON may escape them.
_SIGNS = re.compile("[\U00012000-\U00012399\U00013000-\U0001342e]|" + r"(?i:\\ud80[89cd]\\ud[c-f][0-9a-f]{2})")
_SIGN_CODES = (*range(0x12399, 0x12000, -1), *range(0x1342E, 0x13000, -1))


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of rendered text. `picture` is the index of a picture standing at its place; `text` is then ""."""

    text: str
    plain: bool = False
    picture: int | None = None


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A rendering taken apart. `lost` are contents of which some part did not come out between marks.

    `is_clean` is False where parts of marks are left in the text.
    """

    runs: tuple[Run, ...]
    lost: tuple[str, ...]
    is_clean: bool = True

    @property
    def text(self) -> str:
        return "".join(run.text for run in self.runs)


class Marks:
    """The marks of one request: they occur in none of its texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        taken = {sign.lower() for text in texts for sign in _SIGNS.findall(text)}
        free = (chr(code) for code in _SIGN_CODES if chr(code) not in taken and _escaped(chr(code)) not in taken)
        self._characters = "".join(itertools.islice(free, 5))
        if len(self._characters) < 5:
            raise InvalidRequest("The messages contain every cuneiform sign; leave some of them out.", param="messages")
        self._start_over()

    def anew(self) -> Marks:
        """The same marks for another rendering of the same request."""
        marks = Marks.__new__(Marks)
        marks._characters = self._characters
        marks._start_over()
        return marks

    def _start_over(self) -> None:
        self._open, self._close, self._picture, self._end, self.stop = tuple(self._characters)
        self._contents: dict[str, int] = {}
        self._forms = {form: sign for sign in self._characters for form in (sign, _escaped(sign))}
        kinds = "|".join(re.escape(form) for form, sign in self._forms.items() if sign not in (self._end, self.stop))
        self._finder = re.compile(f"({kinds})([0-9]{{1,9}})(?:{self._end}|{re.escape(_escaped(self._end))})")

    def around(self, text: str) -> str:
        """`text` between marks; its outer blanks stay outside, because templates trim."""
        core = text.strip()
        if not core:
            return text
        # Equal texts get equal marks: templates compare messages with one another.
        index = self._contents.setdefault(core, len(self._contents))
        start = text.index(core[0])
        return f"{text[:start]}{self._open}{index}{self._end}{core}{self._close}{index}{self._end}{text[start + len(core) :]}"

    def around_risky(self, text: str, bare: re.Pattern[str] | None = None) -> str:
        """`text` with marks only around what might spell a special token; matches of `bare` are left as they are."""

        def mark(found: re.Match[str]) -> str:
            word = found.group()
            if not RISKY.search(word):
                return word
            if bare is None:
                return self.around(word)
            kept = [*bare.findall(word), ""]
            return "".join(self.around(piece) + keep for piece, keep in zip(bare.split(word), kept, strict=True))

        return _WORD.sub(mark, text)

    def picture(self, index: int) -> str:
        return f"{self._picture}{index}{self._end}"

    def read(self, rendered: str, *, cuts: re.Pattern[str] | None = None) -> MarkedText:
        """Take a rendering apart. `cuts` matches the markers at which the template may have cut contents."""
        reader = _Reader(tuple(self._contents), cuts)
        position = 0
        for found in self._finder.finditer(rendered):
            reader.text(rendered[position : found.start()])
            position = found.end()
            kind, index = self._forms[found.group(1)], int(found.group(2))
            if kind == self._picture:
                reader.picture(index)
            elif kind == self._open:
                reader.opened(index)
            else:
                reader.closed(index)
        reader.text(rendered[position:])
        marked = reader.result()
        return replace(marked, is_clean=not any(form in marked.text for form in self._forms))


class _Reader:
    """Gathers runs while marks and texts go by."""

    def __init__(self, contents: tuple[str, ...], cuts: re.Pattern[str] | None) -> None:
        self._contents = contents
        self._cuts = cuts
        self._runs: list[Run] = []
        self._inside: int | None = None
        self._opened_at = 0
        self._lost: dict[int, None] = {}

    def text(self, text: str) -> None:
        if text:
            self._runs.append(Run(text, plain=self._inside is not None))

    def picture(self, index: int) -> None:
        self._runs.append(Run("", picture=index))

    def opened(self, index: int) -> None:
        self._abandon()
        self._inside = index
        self._opened_at = len(self._runs)

    def closed(self, index: int) -> None:
        if self._inside == index:
            self._inside = None
            return
        self._abandon()
        self._lost[index] = None
        if self._runs and not self._runs[-1].plain:
            self._keep_tail(self._runs.pop(), index)

    def result(self) -> MarkedText:
        self._abandon()
        return MarkedText(
            tuple(self._runs), tuple(self._contents[index] for index in self._lost if index < len(self._contents))
        )

    def _abandon(self) -> None:
        """An opening mark without its closing one: only the head of the content came out."""
        index, self._inside = self._inside, None
        if index is None:
            return
        self._lost[index] = None
        if len(self._runs) > self._opened_at and self._runs[-1].plain:
            text = self._runs.pop().text
            heads = [self._contents[index][: cut.start()] for cut in self._cuts_of(index)]
            kept = next((len(head) for head in reversed(heads) if text.startswith(head)), 0)
            self._add(text[:kept], plain=True)
            self._add(text[kept:], plain=False)

    def _keep_tail(self, run: Run, index: int) -> None:
        """A closing mark without its opening one: only the tail of the content came out."""
        tails = [self._contents[index][cut.end() :].lstrip() for cut in self._cuts_of(index)]
        kept = next((len(tail) for tail in tails if run.text.endswith(tail)), 0)
        self._add(run.text[: len(run.text) - kept], plain=False)
        self._add(run.text[len(run.text) - kept :], plain=True)

    def _cuts_of(self, index: int) -> list[re.Match[str]]:
        """Where the template may have cut a content."""
        return list(self._cuts.finditer(self._contents[index])) if self._cuts and index < len(self._contents) else []

    def _add(self, text: str, *, plain: bool) -> None:
        if text:
            self._runs.append(Run(text, plain=plain))


def _escaped(sign: str) -> str:
    """A sign as JSON of ASCII alone writes it."""
    return json.dumps(sign)[1:-1]


def common_prefix(first: str, second: str) -> int:
    """With how many equal characters two texts begin."""
    if first.startswith(second):
        return len(second)
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return index
    return min(len(first), len(second))
