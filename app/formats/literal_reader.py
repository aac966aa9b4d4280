"""Reading arguments written as a program's literals into JSON: `a='x', n=[1, True]` or `a:<|"|>x<|"|>,n:[1,true]`."""

from __future__ import annotations

import ast
import enum
import json
import re
from dataclasses import dataclass

from app.formats.argument_kinds import NO_JSON, read_json
from app.formats.arguments import MAX_NAME, escaped
from app.formats.expect import BLANKS
from app.formats.json_scan import Scan
from app.formats.spec import LiteralArguments

__all__ = ["LiteralReader"]

_MAX_DEPTH = 200
_MAX_WORD = 400
_WORD = re.compile(r"[^\s,:=(){}\[\]'\"<]*")
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_WORDS = {"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0", "\n": ""}
_CODE_LENGTHS = {"x": 2, "u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class _Dialect:
    """`quotes` are tried in this order. `pair` stands between a name and its value at the top."""

    quotes: tuple[str, ...]
    pair: str
    end: str
    escapes: bool


_DIALECTS = {
    "python": _Dialect(('"""', "'''", '"', "'"), "=", ")", escapes=True),
    "gemma": _Dialect(('<|"|>', '"'), ":", "}", escapes=False),
}


class _Expect(enum.Enum):
    NAME = enum.auto()
    PAIR = enum.auto()
    VALUE = enum.auto()
    STRING = enum.auto()
    KEY = enum.auto()
    COLON = enum.auto()
    NEXT = enum.auto()


class LiteralReader:
    """An `ArgumentsReader`; the JSON grows with every character of a text."""

    def __init__(self, syntax: LiteralArguments) -> None:
        self._dialect = _DIALECTS[syntax.dialect]
        self._expect = _Expect.NAME
        self._open: list[str] = []
        self._quote = ""
        self._after = _Expect.NEXT
        self._in_key = False
        self._half = ""
        self._n = 0
        self._comma = False
        self._new: list[str] = []

    def read(self, text: str, start: int) -> tuple[Scan, int]:
        at, status = start, Scan.MORE
        while at < len(text) and status is Scan.MORE:
            before, expected = at, self._expect
            if expected is _Expect.STRING:
                status, at = self._string(text, at)
            elif text[at] in BLANKS:
                at += 1
            else:
                status, at = self._token(text, at)
            if at == before and self._expect is expected:
                break
        return status, at

    def take(self) -> str:
        new = "".join(self._new)
        self._new.clear()
        return new

    def _token(self, text: str, at: int) -> tuple[Scan, int]:
        match self._expect, text[at]:
            case ((_Expect.NAME | _Expect.NEXT), character) if character == self._dialect.end and not self._open:
                self._new.append("}" if self._n else "{}")
                return Scan.DONE, at
            case _Expect.NAME, _:
                return self._name(text, at)
            case _Expect.PAIR, self._dialect.pair:
                self._new.append(": ")
                self._expect = _Expect.VALUE
            case _Expect.COLON, ":":
                self._new.append(": ")
                self._expect = _Expect.VALUE
            case _Expect.NEXT, ",":
                self._comma = True
                self._expect = _Expect.NAME if not self._open else _Expect.KEY if self._open[-1] == "}" else _Expect.VALUE
            case ((_Expect.NEXT | _Expect.VALUE | _Expect.KEY), character) if self._open and character == self._open[-1]:
                # A comma before it is left out: JSON has no such thing.
                self._comma = False
                self._new.append("}" if self._open.pop() == "}" else "]")
                self._expect = _Expect.NEXT
            case ((_Expect.VALUE | _Expect.KEY), _):
                return self._value(text, at)
            case _:
                return Scan.BROKEN, at
        return Scan.MORE, at + 1

    def _name(self, text: str, at: int) -> tuple[Scan, int]:
        """A name at the top; quoted in some of Gemma's answers."""
        if (quoted := self._begins_string(text, at, in_key=True)) is not None:
            return quoted
        end = _end_of_word(text, at)
        if end == len(text) and end - at <= MAX_NAME:
            return Scan.MORE, at
        name = text[at:end]
        if not 0 < len(name) <= MAX_NAME:
            return Scan.BROKEN, at
        self._begin_pair(name)
        self._expect = _Expect.PAIR
        return Scan.MORE, end

    def _begin_pair(self, name: str) -> None:
        self._new.append(("{" if not self._n else ", ") + json.dumps(name, ensure_ascii=False))
        self._n += 1
        self._comma = False

    def _value(self, text: str, at: int) -> tuple[Scan, int]:
        in_key = self._expect is _Expect.KEY
        if (quoted := self._begins_string(text, at, in_key=in_key)) is not None:
            return quoted
        if text[at] in _CLOSING and not in_key:
            if len(self._open) >= _MAX_DEPTH:
                return Scan.BROKEN, at
            self._separate()
            self._new.append("{" if text[at] == "{" else "[")
            self._open.append(_CLOSING[text[at]])
            self._expect = _Expect.KEY if text[at] == "{" else _Expect.VALUE
            return Scan.MORE, at + 1
        end = _end_of_word(text, at)
        if end == len(text) and end - at <= _MAX_WORD:
            return Scan.MORE, at
        if not 0 < end - at <= _MAX_WORD:
            return Scan.BROKEN, at
        self._separate()
        word = text[at:end]
        self._new.append(json.dumps(word, ensure_ascii=False) if in_key else _json_of(word))
        self._expect = _Expect.COLON if in_key else _Expect.NEXT
        return Scan.MORE, end

    def _begins_string(self, text: str, at: int, *, in_key: bool) -> tuple[Scan, int] | None:
        """None where no string begins."""
        rest = text[at : at + 8]
        for quote in self._dialect.quotes:
            if rest.startswith(quote):
                return self._begin_string(text, at, quote, in_key=in_key)
            if len(rest) < len(quote) and quote.startswith(rest):
                return Scan.MORE, at
        return None

    def _begin_string(self, text: str, at: int, quote: str, *, in_key: bool) -> tuple[Scan, int]:
        if self._expect is _Expect.NAME:
            self._new.append("{" if not self._n else ", ")
            self._n += 1
            self._comma = False
            self._in_key, after = True, _Expect.PAIR
        else:
            self._separate()
            self._in_key, after = in_key, _Expect.COLON if in_key else _Expect.NEXT
        self._new.append('"')
        self._quote, self._after, self._expect = quote, after, _Expect.STRING
        return Scan.MORE, at + len(quote)

    def _string(self, text: str, start: int) -> tuple[Scan, int]:
        stops = [
            at for stop in (self._quote, "\\" if self._dialect.escapes else self._quote) if (at := text.find(stop, start)) >= 0
        ]
        at = min(stops, default=len(text))
        if at == len(text):
            # The beginning of a quote, if it is one, waits for its end.
            at -= next((n for n in range(len(self._quote) - 1, 0, -1) if text.endswith(self._quote[:n], start)), 0)
        if at > start:
            self._add(text[start:at])
            return Scan.MORE, at
        if text.startswith(self._quote, at):
            self._add("")
            self._new.append('"')
            self._expect = self._after
            return Scan.MORE, at + len(self._quote)
        return self._escape(text, at) if text.startswith("\\", at) and self._dialect.escapes else (Scan.MORE, at)

    def _escape(self, text: str, at: int) -> tuple[Scan, int]:
        if at + 1 >= len(text):
            return Scan.MORE, at
        letter = text[at + 1]
        length = _CODE_LENGTHS.get(letter)
        if length is None:
            self._add(_ESCAPES.get(letter, letter if letter in "\\'\"" else f"\\{letter}"))
            return Scan.MORE, at + 2
        digits = text[at + 2 : at + 2 + length]
        if len(digits) < length and at + 2 + len(digits) == len(text):
            return Scan.MORE, at
        try:
            code = int(digits, 16)
            character = chr(code)
        except (ValueError, OverflowError):
            self._add(f"\\{letter}")
            return Scan.MORE, at + 2
        if 0xD800 <= code < 0xDC00:
            self._add("")
            self._half = character
        elif 0xDC00 <= code < 0xE000:
            pair, self._half = self._half + character, ""
            self._new.append(escaped(pair.encode("utf-16", "surrogatepass").decode("utf-16", "replace")))
        else:
            self._add(character)
        return Scan.MORE, at + 2 + length

    def _add(self, text: str) -> None:
        """Text of a string; the first half of a character whose second never came is no text."""
        if self._half:
            self._half = ""
            self._new.append("�")
        self._new.append(escaped(text))

    def _separate(self) -> None:
        if self._comma:
            self._comma = False
            self._new.append(", ")


def _end_of_word(text: str, start: int) -> int:
    found = _WORD.match(text, start)
    return found.end() if found else start


def _json_of(word: str) -> str:
    """A literal's JSON; a word that is none is taken for text."""
    if known := _WORDS.get(word):
        return known
    if read_json(word) is not NO_JSON:
        return word
    try:
        value = ast.literal_eval(word)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return json.dumps(word, ensure_ascii=False)
    is_number = isinstance(value, int | float) and value == value and abs(value) != float("inf")
    return json.dumps(value if is_number else word, ensure_ascii=False)
