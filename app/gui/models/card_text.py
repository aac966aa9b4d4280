"""A model card's Markdown without the HTML that pages of the hub put into it."""

from __future__ import annotations

import re
from urllib.parse import urljoin

__all__ = ["card_markdown"]

_TAGS = (
    "a|abbr|article|aside|audio|b|big|blockquote|br|button|caption|center|cite|code|col|colgroup|dd|del|details|div|dl|dt|em|"
    "figcaption|figure|font|footer|h[1-6]|header|hr|i|iframe|img|input|ins|kbd|label|li|link|main|mark|meta|nav|object|ol|p|"
    "picture|pre|s|samp|script|section|small|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|tfoot|th|"
    "thead|tr|tt|u|ul|var|video|wbr"
)
# What may have to be changed, and code, which stays as it is. Everything is bounded: a card may be made to be slow to read.
_PIECE = re.compile(
    r"^[ ]{0,3}(?P<fence>`{3,}|~{3,})"
    r"|(?P<code>(?<!`)(?P<tick>`{1,20})(?!`)[^`\n]{1,2000}(?P=tick))"
    r"|(?P<comment><!--)"
    r"|<(?P<silent>script|style)\b"
    rf"|<(?P<end>/?)(?P<tag>{_TAGS})\b(?P<rest>[^<>]{{0,2000}})>"
    r"|(?P<picture>!\[[^\]\n]{0,500}\]\([^)\n]{0,500}\))",
    re.MULTILINE | re.IGNORECASE,
)
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_HEADING = re.compile(r"h([1-6])")
_EMPTY_LINK = re.compile(r"\[\s{0,99}\]\([^)\n]{0,500}\)")
_LINK = re.compile(r"(\]\()(?![a-z][a-z0-9+.-]{0,20}:|#)([^)\s]{1,500})", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+\n")
_BREAKS = frozenset(
    {"p", "div", "section", "center", "details", "table", "ul", "ol", "blockquote", "figure", "header", "footer"}
)
_MARKS = {"b": "**", "strong": "**", "i": "*", "em": "*", "code": "`", "s": "~~", "del": "~~", "strike": "~~"}


def card_markdown(card: str, *, base: str = "") -> str:
    """HTML tags become Markdown where it has something like them, else nothing; pictures, which nobody fetches, go.

    Links to files of the repository are made whole with `base`.
    """
    written: list[str] = []
    links: list[str] = []
    place = 0
    while (found := _PIECE.search(card, place)) is not None:
        written.append(card[place : found.start()])
        words, place = _piece(card, found, links)
        written.append(words)
    text = _EMPTY_LINK.sub("", "".join((*written, card[place:])))
    if base:
        text = _LINK.sub(lambda link: f"{link[1]}{urljoin(base, link[2])}", text)
    return _BLANK_LINES.sub("\n\n", text).strip()


def _piece(card: str, found: re.Match[str], links: list[str]) -> tuple[str, int]:
    """What to write in its place, and where to go on."""
    if found["fence"]:
        end = _end_of_fence(card, found)
        return card[found.start() : end], end
    if found["code"]:
        return found[0], found.end()
    if found["comment"]:
        return "", _after(card, "-->", found.end())
    if found["silent"]:
        return "", _after(card, f"</{found['silent'].lower()}>", found.end())
    if found["tag"]:
        return _tag(found["tag"].lower(), found["rest"], links, ends=bool(found["end"])), found.end()
    return "", found.end()


def _end_of_fence(card: str, found: re.Match[str]) -> int:
    end = re.compile(rf"^[ ]{{0,3}}{re.escape(found['fence'])}[`~]*[ \t]*$", re.MULTILINE).search(card, found.end())
    return end.end() if end is not None else len(card)


def _after(card: str, mark: str, place: int) -> int:
    """Where `mark` ends; the end of the card if it never comes."""
    at = card.find(mark, place)
    return at + len(mark) if at >= 0 else len(card)


def _tag(tag: str, rest: str, links: list[str], *, ends: bool) -> str:
    heading = _HEADING.fullmatch(tag)
    if heading is not None:
        return "\n\n" if ends else f"\n\n{'#' * int(heading[1])} "
    if tag in _MARKS:
        return _MARKS[tag]
    if tag in _BREAKS:
        return "\n\n"
    match tag:
        case "a":
            return _anchor(rest, links, ends=ends)
        case "br":
            return "  \n"
        case "hr":
            return "\n\n---\n\n"
        case "li":
            return "\n" if ends else "\n- "
        case "tr":
            return "  \n" if ends else ""
        case "td" | "th" | "summary":
            return "  " if ends else ""
        case _:
            return ""


def _anchor(rest: str, links: list[str], *, ends: bool) -> str:
    if ends:
        address = links.pop() if links else ""
        return f"]({address})" if address else ""
    found = _HREF.search(rest)
    address = (found[1] or found[2] or "").strip().replace(" ", "%20") if found is not None else ""
    links.append(address)
    return "[" if address else ""
