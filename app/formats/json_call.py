"""Reading one tool call, a JSON object with name and arguments that arrives in pieces."""

from __future__ import annotations

import enum
import json
from collections.abc import Container
from typing import Any

from app.formats.call_progress import CallProgress, is_name
from app.formats.expect import BLANKS
from app.formats.json_scan import JsonScanner, Scan
from app.formats.spec import JsonCall

__all__ = ["JsonCallReader"]

# What some models write instead of the key that they were shown.
_ALIASES = ("arguments", "parameters")
# What may stand before the name where only the shape of an object shows that it is a call.
_BEFORE_NAME = ("type", "id")


class _Step(enum.Enum):
    BEGIN = enum.auto()
    KEY_OR_END = enum.auto()
    KEY = enum.auto()
    COLON = enum.auto()
    VALUE = enum.auto()
    IN_VALUE = enum.auto()
    NEXT = enum.auto()


class JsonCallReader:
    """Reads from the `{` of a call to its `}`. Arguments are passed on as they come, once the name is known.

    With `only`, an object is no call unless its name comes first and is one of them.
    """

    def __init__(self, syntax: JsonCall, *, only: Container[str] | None = None) -> None:
        self.id: str | None = None
        self._syntax = syntax
        self._only = only
        self._step = _Step.BEGIN
        self._scanner = JsonScanner()
        self._in_key = False
        self._key = ""
        self._raw: list[str] = []
        self._name: str | None = None
        self._streaming = False
        self._has_arguments = False
        self._started = False
        self._arguments: list[str] = []

    @property
    def started(self) -> bool:
        return self._started

    def read(self, text: str, start: int) -> CallProgress:
        """Go on with `text` from `start`."""
        at = start
        status = Scan.MORE
        while at < len(text) and status is Scan.MORE:
            if self._step is _Step.IN_VALUE:
                status, at = self._value(text, at)
            elif text[at] in BLANKS:
                at += 1
            elif self._step in (_Step.KEY, _Step.KEY_OR_END, _Step.VALUE) and text[at] != "}":
                status = self._value_begins(text[at])
            else:
                status = self._structure(text[at])
                at += status is not Scan.BROKEN
        return CallProgress(status, at, *self._news())

    def _structure(self, character: str) -> Scan:
        match self._step, character:
            case _Step.BEGIN, "{":
                self._step = _Step.KEY_OR_END
            case _Step.COLON, ":":
                self._step = _Step.VALUE
            case _Step.NEXT, ",":
                self._step = _Step.KEY
            case ((_Step.NEXT | _Step.KEY_OR_END), "}") if self._name is not None:
                if not self._has_arguments:
                    self._arguments.append("{}")
                self._has_arguments = True
                return Scan.DONE
            case _:
                return Scan.BROKEN
        return Scan.MORE

    def _value_begins(self, character: str) -> Scan:
        self._in_key = self._step is not _Step.VALUE
        self._streaming = not self._in_key and self._is_arguments(self._key) and character == "{"
        self._scanner, self._raw, self._step = JsonScanner(), [], _Step.IN_VALUE
        if (self._in_key and character != '"') or (self._streaming and self._has_arguments):
            return Scan.BROKEN
        self._has_arguments = self._has_arguments or self._streaming
        return Scan.MORE

    def _value(self, text: str, start: int) -> tuple[Scan, int]:
        status, at = self._scanner.scan(text, start)
        (self._arguments if self._streaming else self._raw).append(text[start:at])
        if status is not Scan.DONE:
            return status, at
        self._step = _Step.COLON if self._in_key else _Step.NEXT
        if self._streaming:
            return Scan.MORE, at
        value = json.loads("".join(self._raw))
        return (self._key_ended(value) if self._in_key else self._value_ended(value)), at

    def _key_ended(self, key: str) -> Scan:
        self._key = key
        if not self._syntax.name_key and self._name is None:
            return self._named(key)
        if self._only is not None and self._name is None and key not in (self._syntax.name_key, *_BEFORE_NAME):
            return Scan.BROKEN
        return Scan.MORE

    def _is_arguments(self, key: str) -> bool:
        if not self._syntax.name_key:
            return key == self._name
        return key == self._syntax.arguments_key or (key in _ALIASES and key != self._syntax.name_key)

    def _named(self, name: Any) -> Scan:
        if not is_name(name) or self._name is not None or (self._only is not None and name not in self._only):
            return Scan.BROKEN
        self._name = name
        return Scan.MORE

    def _value_ended(self, value: Any) -> Scan:
        key, syntax = self._key, self._syntax
        if syntax.name_key and key == syntax.name_key:
            return self._named(value)
        if key == syntax.id_key and isinstance(value, str):
            self.id = value
        elif self._is_arguments(key):
            return self._whole_arguments(value)
        return Scan.MORE

    def _whole_arguments(self, value: Any) -> Scan:
        """Arguments that are no object: some models write them as JSON text, or null for none."""
        try:
            arguments = json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError):
            return Scan.BROKEN
        if self._has_arguments or not isinstance(arguments, dict | None):
            return Scan.BROKEN
        self._arguments.append(json.dumps(arguments or {}))
        self._has_arguments = True
        return Scan.MORE

    def _news(self) -> tuple[str | None, str]:
        if self._name is None or not self._has_arguments:
            return None, ""
        started = None if self._started else self._name
        self._started = True
        arguments = "".join(self._arguments)
        self._arguments.clear()
        return started, arguments
