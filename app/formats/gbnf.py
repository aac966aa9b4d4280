"""llama.cpp's grammars, GBNF, as llguidance's dialect of Lark."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

__all__ = ["BadGbnf", "lark_of_gbnf"]

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN = re.compile(r"!?<(\[\d{1,9}\]|[^\s<>\[\]]{1,100})>")
_COUNTED = re.compile(r"\{\s*(\d{1,6})\s*(?:(,)\s*(\d{1,6})?\s*)?\}")
_BLANKS = re.compile(r"(?:[ \t]|#[^\n\r]*)*")
_BLANKS_AND_LINES = re.compile(r"(?:\s|#[^\n\r]*)*")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"t": "\t", "r": "\r", "n": "\n", "\\": "\\", '"': '"', "[": "[", "]": "]", "-": "-", "^": "^"}
_MAX_DEPTH = 50


class BadGbnf(Exception):
    """Says what is wrong with a grammar, and in which line."""


def lark_of_gbnf(text: str) -> str:
    """Raises BadGbnf.

    Every rule stays a rule, and every class one character: a terminal of Lark takes as many characters as it can, and would
    take what stands behind it in the grammar.
    """
    reader = _Reader(text)
    reader.read()
    return "".join(f"{name}: {body}\n" for name, body in reader.rules.items())


@dataclass(slots=True)
class _Reader:
    text: str
    at: int = 0
    depth: int = 0
    rules: dict[str, str] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)

    def read(self) -> None:
        self._skip(_BLANKS_AND_LINES)
        while self.at < len(self.text):
            self._rule()
            self._skip(_BLANKS_AND_LINES)
        if "start" not in self.rules:
            raise BadGbnf("there is no rule 'root'")
        for name, at in self.used.items():
            if name not in self.rules:
                self.at = at
                raise self._bad("this rule does not exist")

    def _rule(self) -> None:
        at = self.at
        name = _lark_name(self._take(_NAME, "the name of a rule"))
        if name in self.rules:
            self.at = at
            raise self._bad("this rule exists already")
        self._skip(_BLANKS)
        if not self.text.startswith("::=", self.at):
            raise self._bad("expected '::='")
        self.at += 3
        self._skip(_BLANKS_AND_LINES)
        self.rules[name] = self._choices()
        self._skip(_BLANKS)
        if self.at < len(self.text) and self.text[self.at] not in "\r\n":
            raise self._bad("expected the end of the line")

    def _choices(self) -> str:
        choices = [self._sequence()]
        while self._bar():
            choices.append(self._sequence())
        return " | ".join(choices)

    def _bar(self) -> bool:
        """Whether another choice follows, be it in the next line."""
        after = self._end_of(_BLANKS_AND_LINES)
        if not self.text.startswith("|", after):
            return False
        self.at = after + 1
        self._skip(_BLANKS_AND_LINES)
        return True

    def _sequence(self) -> str:
        items: list[str] = []
        while True:
            self._skip(_BLANKS_AND_LINES if self.depth else _BLANKS)
            item = self._item()
            if item is None:
                return " ".join(items) or '""'
            items.append(item + self._repetition())

    def _item(self) -> str | None:
        following = self.text[self.at : self.at + 1]
        match following:
            case '"':
                return self._literal()
            case "[":
                return self._characters()
            case "(":
                return self._group()
            case ".":
                self.at += 1
                return "/(?s:.)/"
            case "<" | "!":
                return self._token()
            case _ if _NAME.match(following):
                at = self.at
                name = _lark_name(self._take(_NAME, "a name"))
                self.used.setdefault(name, at)
                return name
            case _:
                return None

    def _group(self) -> str:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self._bad(f"groups are nested more than {_MAX_DEPTH} deep")
        self.at += 1
        inner = self._choices()
        self._skip(_BLANKS_AND_LINES)
        if not self.text.startswith(")", self.at):
            raise self._bad("expected ')'")
        self.at += 1
        self.depth -= 1
        return f"({inner})"

    def _repetition(self) -> str:
        if self.text[self.at : self.at + 1] in ("*", "+", "?"):
            self.at += 1
            return self.text[self.at - 1]
        if self.text[self.at : self.at + 1] != "{":
            return ""
        counted = _COUNTED.match(self.text, self.at)
        if counted is None:
            raise self._bad("expected a repetition such as {3}, {1,} or {1,3}")
        least, comma, most = counted.groups()
        if most is not None and int(most) < int(least):
            raise self._bad("this repetition ends below its beginning")
        self.at = counted.end()
        return f"{{{least}}}" if comma is None else f"{{{least},{most or ''}}}"

    def _literal(self) -> str:
        self.at += 1
        letters: list[str] = []
        while self.text[self.at : self.at + 1] != '"':
            letters.append(self._letter('"'))
        self.at += 1
        return json.dumps("".join(letters), ensure_ascii=False)

    def _characters(self) -> str:
        self.at += 1
        negated = self.text.startswith("^", self.at)
        self.at += negated
        ranges: list[str] = []
        while self.text[self.at : self.at + 1] != "]":
            first = last = self._letter("]")
            if self.text.startswith("-", self.at) and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                last = self._letter("]")
            if last < first:
                raise self._bad("this range ends below its beginning")
            ranges.append(f"\\x{{{ord(first):x}}}-\\x{{{ord(last):x}}}")
        self.at += 1
        if not ranges and not negated:
            raise self._bad("an empty class of characters matches nothing")
        return f"/[{'^' if negated else ''}{''.join(ranges)}]/" if ranges else "/(?s:.)/"

    def _letter(self, end: str) -> str:
        letter = self.text[self.at : self.at + 1]
        if letter in ("", "\n"):
            raise self._bad(f"expected {end}")
        if letter != "\\":
            self.at += 1
            return letter
        escape = _ESCAPE.match(self.text, self.at)
        code = next((int(digits, 16) for digits in escape.groups()[:3] if digits), None) if escape else None
        named = _PLAIN_ESCAPES.get(escape.group(4) or "") if escape else None
        if escape is None or (code is None and named is None) or (code is not None and not _is_character(code)):
            raise self._bad("this escape does not exist")
        self.at = escape.end()
        return chr(code) if code is not None else named or ""

    def _token(self) -> str:
        found = _TOKEN.match(self.text, self.at)
        if found is None or (found.group().startswith("!") and not found.group(1).startswith("[")):
            raise self._bad("expected a token such as <[1000]>, <think> or !<[1000]>")
        self.at = found.end()
        token = found.group().lstrip("!")
        return token.replace("<[", "<[^") if found.group().startswith("!") else token

    def _take(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self._bad(f"expected {what}")
        self.at = found.end()
        return found.group()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self.at = self._end_of(pattern)

    def _end_of(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self.text, self.at)
        return found.end() if found else self.at

    def _bad(self, what: str) -> BadGbnf:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - (self.text.rfind("\n", 0, self.at) + 1) + 1
        near = self.text[self.at : self.at + 20].split("\n", 1)[0]
        return BadGbnf(f"{what} in line {line}, column {column}, at '{near}'")


def _lark_name(name: str) -> str:
    """A rule's name in Lark: small letters, and never `start` but for `root`."""
    if name == "root":
        return "start"
    # Dashes, capitals and leading digits are told apart by what takes their place.
    return "r_" + "".join(letter if letter.islower() or letter.isdigit() else f"_{ord(letter):x}_" for letter in name)


def _is_character(code: int) -> bool:
    return code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
