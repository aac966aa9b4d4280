"""Reading the arguments of a call, however they are written, into one JSON object that grows."""

from __future__ import annotations

import enum
import json
from typing import Protocol

from app.formats.argument_kinds import NO_JSON, ArgumentKinds, Kind, read_json
from app.formats.expect import behind_blanks, expect_any, find
from app.formats.json_scan import JsonScanner, Scan
from app.formats.spec import TaggedArguments

__all__ = ["MAX_NAME", "ArgumentsReader", "JsonReader", "TaggedReader", "escaped"]

MAX_NAME = 200
"""A longer name is none."""


class ArgumentsReader(Protocol):
    """Reads from behind the name's end. `read` may leave text unread that it can't judge yet, to be given again with more.

    It returns DONE with the position of what ends the call, which is not read.
    """

    def read(self, text: str, start: int) -> tuple[Scan, int]: ...

    def take(self) -> str:
        """The JSON that was added since the last time."""
        ...


def escaped(text: str) -> str:
    """`text` as it stands inside a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


class JsonReader:
    """Arguments that are a JSON object; nothing at all before one of `ends` is an empty one."""

    def __init__(self, ends: tuple[str, ...]) -> None:
        self._ends = ends
        self._scanner: JsonScanner | None = None
        self._new: list[str] = []

    def read(self, text: str, start: int) -> tuple[Scan, int]:
        if self._scanner is None:
            at = behind_blanks(text, start)
            if at == len(text):
                return Scan.MORE, start
            if text[at] != "{":
                status, _ = expect_any(text, at, self._ends)
                if status is Scan.DONE:
                    self._new.append("{}")
                return status, start
            self._scanner, start = JsonScanner(), at
        status, at = self._scanner.scan(text, start)
        self._new.append(text[start:at])
        return status, at

    def take(self) -> str:
        new = "".join(self._new)
        self._new.clear()
        return new


class _Place(enum.Enum):
    BETWEEN = enum.auto()
    NAME = enum.auto()
    VALUE = enum.auto()


class TaggedReader:
    """Arguments with a passage for each: texts grow as they come, other values come whole."""

    def __init__(self, syntax: TaggedArguments, ends: tuple[str, ...], kinds: ArgumentKinds) -> None:
        self._syntax = syntax
        self._ends = ends
        self._kinds = kinds
        self._place = _Place.BETWEEN
        self._new: list[str] = []
        self._n = 0
        self._name = ""
        self._streams = False
        self._value: list[str] = []
        self._at_value_start = False
        self._json_wanted = False

    def read(self, text: str, start: int) -> tuple[Scan, int]:
        at, status = start, Scan.MORE
        while status is Scan.MORE:
            before, place = at, self._place
            match place:
                case _Place.BETWEEN:
                    status, at = self._between(text, at)
                case _Place.NAME:
                    status, at = self._read_name(text, at)
                case _Place.VALUE:
                    status, at = self._read_value(text, at)
            if at == before and self._place is place:
                break
        return status, at

    def take(self) -> str:
        new = "".join(self._new)
        self._new.clear()
        return new

    def _between(self, text: str, start: int) -> tuple[Scan, int]:
        opened, at = expect_any(text, start, (self._syntax.open,))
        ended, _ = expect_any(text, start, self._ends)
        if ended is Scan.DONE:
            self._new.append("}" if self._n else "{}")
            return Scan.DONE, start
        if opened is Scan.DONE:
            # The end of a call may begin as an argument does.
            if ended is Scan.MORE:
                return Scan.MORE, start
            self._place = _Place.NAME
            return Scan.MORE, at
        return (Scan.MORE if Scan.MORE in (opened, ended) else Scan.BROKEN), start

    def _read_name(self, text: str, start: int) -> tuple[Scan, int]:
        ends = [(find(text, start, one), is_json) for one, is_json in self._name_ends() if one.strip()]
        found = min(((at, end, is_json) for (status, at, end), is_json in ends if status is Scan.DONE), default=None)
        if found is None:
            return (Scan.BROKEN if len(text) - start > MAX_NAME + len(self._syntax.name_end) else Scan.MORE), start
        at, end, self._json_wanted = found
        self._name = text[start:at].strip()
        if not 0 < len(self._name) <= MAX_NAME:
            return Scan.BROKEN, start
        self._new.append(("{" if not self._n else ", ") + json.dumps(self._name, ensure_ascii=False) + ": ")
        self._n += 1
        self._place, self._at_value_start = _Place.VALUE, True
        self._streams = not self._json_wanted and self._kind() is Kind.TEXT
        if self._streams:
            self._new.append('"')
        return Scan.MORE, end

    def _name_ends(self) -> tuple[tuple[str, bool], ...]:
        return (self._syntax.name_end, False), *((end, True) for end in self._syntax.json_name_ends)

    def _kind(self) -> Kind:
        if self._syntax.json_name_end:
            return Kind.JSON if self._json_wanted else Kind.TEXT
        return self._kinds.kind(self._name)

    def _read_value(self, text: str, start: int) -> tuple[Scan, int]:
        if self._at_value_start:
            if start == len(text):
                return Scan.MORE, start
            self._at_value_start = False
            if self._syntax.name_end.endswith("\n"):
                start += text.startswith("\n", start)
        status, at, end = find(text, start, self._close())
        value_end = at
        if self._syntax.close.startswith("\n") and at > start and text[at - 1] == "\n":
            # That line break belongs to the marker, if it is one.
            value_end -= 1
        self._add(text[start:value_end])
        if status is not Scan.DONE:
            return Scan.MORE, value_end
        self._end_value()
        self._place = _Place.BETWEEN
        return Scan.MORE, end

    def _close(self) -> str:
        syntax = self._syntax
        return syntax.close + self._name + syntax.close_end if syntax.close_end else syntax.close

    def _add(self, text: str) -> None:
        if self._streams:
            self._new.append(escaped(text))
        else:
            self._value.append(text)

    def _end_value(self) -> None:
        if self._streams:
            self._new.append('"')
            return
        text = "".join(self._value)
        self._value.clear()
        if self._json_wanted:
            self._new.append(json.dumps(text, ensure_ascii=False) if read_json(text) is NO_JSON else text.strip())
        elif self._syntax.json_name_end:
            self._new.append(json.dumps(text, ensure_ascii=False))
        else:
            self._new.append(self._kinds.json_of(self._name, text))
