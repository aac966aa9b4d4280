"""Reading one tool call, a JSON object that arrives in pieces."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import Any

from app.formats.json_scan import JsonScanner, Scan
from app.formats.spec import ToolSyntax

__all__ = ["CallProgress", "CallReader"]

_BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True)
class CallProgress:
    """What one stretch of text added. `started` is the function's name, given once, when the call is certain to be one.

    `position` is behind what was read; at BROKEN, what stands there does not belong to a call.
    """

    status: Scan
    position: int
    started: str | None
    arguments: str


class _Step(enum.Enum):
    KEY_OR_END = enum.auto()
    KEY = enum.auto()
    COLON = enum.auto()
    VALUE = enum.auto()
    IN_VALUE = enum.auto()
    NEXT = enum.auto()


class CallReader:
    """Reads from behind the `{` of a call to its `}`. Arguments are passed on as they come, once the name is known."""

    def __init__(self, syntax: ToolSyntax) -> None:
        self.id: str | None = None
        self._syntax = syntax
        self._step = _Step.KEY_OR_END
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
            elif text[at] in _BLANKS:
                at += 1
            elif self._step in (_Step.KEY, _Step.KEY_OR_END, _Step.VALUE) and text[at] != "}":
                status = self._value_begins(text[at])
            else:
                status = self._structure(text[at])
                at += status is not Scan.BROKEN
        return CallProgress(status, at, *self._news())

    def _structure(self, character: str) -> Scan:
        match self._step, character:
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
        self._streaming = not self._in_key and self._key == self._syntax.arguments_key and character == "{"
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
        if self._in_key:
            self._key = value
            return Scan.MORE, at
        return self._value_ended(value), at

    def _value_ended(self, value: Any) -> Scan:
        key, syntax = self._key, self._syntax
        if key == syntax.name_key:
            if not isinstance(value, str) or not _is_name(value) or self._name is not None:
                return Scan.BROKEN
            self._name = value
        elif key == syntax.id_key and isinstance(value, str):
            self.id = value
        elif key == syntax.arguments_key:
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


def _is_name(text: str) -> bool:
    """Escapes can spell half a character, which no later stage could encode."""
    return text.isprintable() and bool(text.strip())
