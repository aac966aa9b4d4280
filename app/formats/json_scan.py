"""Reading JSON that arrives in pieces."""

from __future__ import annotations

import enum
import re

__all__ = ["JsonScanner", "Scan"]

_STRING_RUN = re.compile(r'[^"\\\x00-\x1f]*')
_BLANKS = re.compile(r"[ \t\r\n]*")
_SCALAR_RUN = re.compile(r"[-+.0-9A-Za-z]*")
_SCALAR = re.compile(r"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null)\Z")
_MAX_DEPTH = 200
_MAX_SCALAR = 400


class Scan(enum.Enum):
    MORE = enum.auto()
    DONE = enum.auto()
    BROKEN = enum.auto()


class _Expect(enum.Enum):
    VALUE = enum.auto()
    VALUE_OR_END = enum.auto()
    KEY = enum.auto()
    KEY_OR_END = enum.auto()
    COLON = enum.auto()
    COMMA_OR_END = enum.auto()
    STRING = enum.auto()
    ESCAPE = enum.auto()
    HEX = enum.auto()
    SCALAR = enum.auto()


class JsonScanner:
    """Finds the end of one JSON value, character by character of a growing text, and notices where it stops being JSON.

    A number at the very end of the text is DONE only once the character behind it was seen.
    """

    def __init__(self) -> None:
        self._expect = _Expect.VALUE
        self._open: list[str] = []
        self._in_key = False
        self._hex_left = 0
        self._scalar = ""

    def scan(self, text: str, start: int) -> tuple[Scan, int]:
        """Read `text` from `start`; the position is behind what belongs to the value (or is not JSON)."""
        at, status = start, Scan.MORE
        while at < len(text) and status is Scan.MORE:
            match self._expect:
                case _Expect.STRING:
                    at = _end(_STRING_RUN, text, at)
                    if at < len(text):
                        status = self._string_character(text[at])
                        at += status is not Scan.BROKEN
                case _Expect.ESCAPE | _Expect.HEX:
                    status = self._escaped(text[at])
                    at += status is not Scan.BROKEN
                case _Expect.SCALAR:
                    stop = _end(_SCALAR_RUN, text, at)
                    status = self._scalar_run(text[at:stop], ended=stop < len(text))
                    at = stop
                case _:
                    at = _end(_BLANKS, text, at)
                    if at < len(text) and not self._begins_scalar(text[at]):
                        status = self._structure(text[at])
                        at += status is not Scan.BROKEN
        return status, at

    def _scalar_run(self, run: str, *, ended: bool) -> Scan:
        self._scalar += run
        if len(self._scalar) > _MAX_SCALAR:
            return Scan.BROKEN
        if not ended:
            return Scan.MORE
        return self._value_ended() if _SCALAR.match(self._scalar) else Scan.BROKEN

    def _begins_scalar(self, character: str) -> bool:
        if self._expect not in (_Expect.VALUE, _Expect.VALUE_OR_END) or character not in "-0123456789tfn":
            return False
        self._expect, self._scalar = _Expect.SCALAR, ""
        return True

    def _string_character(self, character: str) -> Scan:
        if character == '"':
            if self._in_key:
                self._in_key, self._expect = False, _Expect.COLON
                return Scan.MORE
            return self._value_ended()
        if character == "\\":
            self._expect = _Expect.ESCAPE
            return Scan.MORE
        return Scan.BROKEN

    def _escaped(self, character: str) -> Scan:
        if self._expect is _Expect.HEX:
            self._hex_left -= 1
            if self._hex_left == 0:
                self._expect = _Expect.STRING
            return Scan.MORE if character in "0123456789abcdefABCDEF" else Scan.BROKEN
        if character == "u":
            self._expect, self._hex_left = _Expect.HEX, 4
            return Scan.MORE
        self._expect = _Expect.STRING
        return Scan.MORE if character in '"\\/bfnrt' else Scan.BROKEN

    def _structure(self, character: str) -> Scan:
        match self._expect, character:
            case ((_Expect.VALUE | _Expect.VALUE_OR_END), '"'):
                self._expect = _Expect.STRING
            case ((_Expect.VALUE | _Expect.VALUE_OR_END), "{" | "[") if len(self._open) < _MAX_DEPTH:
                self._open.append(character)
                self._expect = _Expect.KEY_OR_END if character == "{" else _Expect.VALUE_OR_END
            case ((_Expect.KEY | _Expect.KEY_OR_END), '"'):
                self._in_key, self._expect = True, _Expect.STRING
            case _Expect.COLON, ":":
                self._expect = _Expect.VALUE
            case _Expect.COMMA_OR_END, ",":
                self._expect = _Expect.KEY if self._open[-1] == "{" else _Expect.VALUE
            case ((_Expect.KEY_OR_END | _Expect.COMMA_OR_END), "}") if self._open[-1] == "{":
                self._open.pop()
                return self._value_ended()
            case ((_Expect.VALUE_OR_END | _Expect.COMMA_OR_END), "]") if self._open[-1] == "[":
                self._open.pop()
                return self._value_ended()
            case _:
                return Scan.BROKEN
        return Scan.MORE

    def _value_ended(self) -> Scan:
        self._expect = _Expect.COMMA_OR_END
        return Scan.MORE if self._open else Scan.DONE


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a run that begins at `start` ends."""
    found = pattern.match(text, start)
    return found.end() if found else start
