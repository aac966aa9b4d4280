"""Markdown as blocks: a whole text at once, or a text that is still growing. Knows nothing of Qt."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["Block", "CodeBlock", "MarkdownStream", "ProseBlock", "TableBlock", "parse_blocks"]

_FENCE_END = re.compile(r"\s{0,3}(`{3,}|~{3,})\s*$")


@dataclass(frozen=True, slots=True)
class ProseBlock:
    """A paragraph, heading, list, quote or rule. Two are equal if their sources are."""

    source: str
    tokens: tuple[Token, ...] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TableBlock:
    source: str
    tokens: tuple[Token, ...] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """`closed` is False while the fence that ends it has not been written."""

    language: str
    text: str
    closed: bool = True


Block: TypeAlias = ProseBlock | TableBlock | CodeBlock


def parse_blocks(source: str) -> tuple[Block, ...]:
    """The top-level blocks of a text. Raw HTML is text; pictures stay tokens that nothing fetches."""
    return tuple(block for block, _ in _blocks(source))


class MarkdownStream:
    """A text that grows. Finished blocks are given out once, for good; only the last, unfinished one is read again."""

    def __init__(self) -> None:
        self._tail = ""
        self._whole: list[str] = []
        self._committed: list[Block] = []

    @property
    def text(self) -> str:
        return "".join(self._whole)

    def feed(self, text: str) -> tuple[Block, ...]:
        """Add text; return the blocks that are finished by it."""
        self._whole.append(text)
        self._tail += _plain_lines(text)
        if "\n" not in text:
            return ()
        # A line that is still being written may yet join the block above it.
        complete = self._tail[: self._tail.rindex("\n") + 1]
        found = _blocks(complete)
        if len(found) < 2:
            return ()
        start = found[-1][1]
        self._tail = "".join(self._tail.splitlines(keepends=True)[start:])
        finished = tuple(block for block, _ in found[:-1])
        self._committed += finished
        return finished

    @property
    def tail_text(self) -> str:
        """The unfinished end, as it was written."""
        return self._tail

    def tail(self) -> tuple[Block, ...]:
        """The unfinished end, with emphasis that is still open closed for now."""
        return parse_blocks(_close_dangling(self._tail))

    def reconcile(self) -> tuple[Block, ...] | None:
        """At the end: all blocks, if reading the whole text at once gives others than were given out; else None.

        That happens with reference links, and lists whose items turn out to be apart.
        """
        whole = parse_blocks(self.text)
        given = (*self._committed, *parse_blocks(self._tail))
        same = whole == given and "]:" not in self.text
        return None if same else whole


def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _blocks(source: str) -> list[tuple[Block, int]]:
    """Top-level blocks, each with the number of its first line."""
    source = _plain_lines(source)
    lines = source.splitlines(keepends=True)
    tokens = _parser().parse(source)
    found: list[tuple[Block, int]] = []
    start = 0
    for index, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            group = tuple(tokens[start : index + 1])
            first, last = group[0].map or [0, len(lines)]
            found.append((_block(group, "".join(lines[first:last]).rstrip("\n")), first))
            start = index + 1
    return found


def _plain_lines(source: str) -> str:
    """Only "\\n" ends a line: `str.splitlines` also breaks at characters that end none in Markdown."""
    return re.sub("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", " ", source.replace("\r", ""))


def _block(tokens: tuple[Token, ...], source: str) -> Block:
    head = tokens[0]
    match head.type:
        case "fence":
            language = head.info.split()[0] if head.info.split() else ""
            lines = source.split("\n")
            closed = len(lines) > 1 and _FENCE_END.match(lines[-1]) is not None and lines[-1].strip().startswith(head.markup)
            return CodeBlock(language, head.content.removesuffix("\n"), closed)
        case "code_block":
            return CodeBlock("", head.content.removesuffix("\n"))
        case "table_open":
            return TableBlock(source, tokens)
        case _:
            return ProseBlock(source, tokens)


def _close_dangling(source: str) -> str:
    """Close code spans and emphasis left open in the last paragraph, so that their marks don't flicker while it is written."""
    paragraph = source[source.rfind("\n\n") + 1 :]
    if "```" in paragraph or "~~~" in paragraph:
        return source
    if paragraph.count("`") % 2:
        return source if source.endswith("`") else f"{source}`"
    without_code = re.sub(r"`[^`]*`", "", paragraph)
    for mark in ("**", "~~"):
        if without_code.count(mark) % 2 and not source.endswith((mark, mark[0], " ", "\n")):
            return source + mark
    return source
