"""Reading one tool call in which the function's name stands by itself, between markers."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Container

from app.formats.argument_kinds import ArgumentKinds
from app.formats.arguments import MAX_NAME, ArgumentsReader, JsonReader, TaggedReader
from app.formats.call_progress import CallProgress, is_name
from app.formats.expect import BLANKS, expect, find
from app.formats.json_scan import Scan
from app.formats.literal_reader import LiteralReader
from app.formats.spec import JsonArguments, LiteralArguments, NamedCall, TaggedArguments

__all__ = ["NamedCallReader"]

_NUMBER = re.compile(r"\s*[0-9]{1,9}")


class _Step(enum.Enum):
    ID_FIRST = enum.auto()
    NAME = enum.auto()
    NUMBER = enum.auto()
    ID = enum.auto()
    NAME_END = enum.auto()
    ARGUMENTS = enum.auto()


class NamedCallReader:
    """Reads from behind the call's opening to what closes it.

    `ends` are the markers at which the call is over, its own closing one first; `kinds_of` gives what is known of a function.
    With `only`, what has another name is no call.
    """

    def __init__(
        self,
        syntax: NamedCall,
        ends: tuple[str, ...],
        kinds_of: Callable[[str], ArgumentKinds],
        *,
        only: Container[str] | None = None,
    ) -> None:
        self.id: str | None = None
        self._syntax = syntax
        self._ends = ends
        self._kinds_of = kinds_of
        self._only = only
        self._step = _Step.ID_FIRST if syntax.id_first else _Step.NAME
        self._name = ""
        self._arguments: ArgumentsReader | None = None
        self._told = False

    @property
    def started(self) -> bool:
        return self._told

    def read(self, text: str, start: int) -> CallProgress:
        at, status = start, Scan.MORE
        while status is Scan.MORE:
            before, step = at, self._step
            status, at = self._go_on(text, at)
            if at == before and self._step is step:
                break
        arguments = self._arguments.take() if self._arguments else ""
        # Before its arguments have begun, anything may still turn out to be no call.
        started = self._name if arguments and not self._told else None
        self._told = self._told or bool(arguments)
        return CallProgress(status, at, started, arguments)

    def _go_on(self, text: str, at: int) -> tuple[Scan, int]:
        syntax = self._syntax
        match self._step:
            case _Step.ID_FIRST:
                return self._read_id(text, at, syntax.id_first, _Step.NAME)
            case _Step.NAME:
                return self._read_name(text, at)
            case _Step.NUMBER:
                return self._read_number(text, at)
            case _Step.ID:
                return self._read_id(text, at, syntax.name_end, _Step.NAME_END)
            case _Step.NAME_END:
                return self._read_name_end(text, at)
            case _Step.ARGUMENTS:
                assert self._arguments is not None
                return self._arguments.read(text, at)

    def _read_id(self, text: str, start: int, end_marker: str, then: _Step) -> tuple[Scan, int]:
        status, at, end = find(text, start, end_marker)
        if status is not Scan.DONE:
            return (Scan.BROKEN if at - start > MAX_NAME else Scan.MORE), start
        if not is_name(found := text[start:at].strip()):
            return Scan.BROKEN, start
        self.id, self._step = found, then
        return Scan.MORE, end if then is _Step.NAME else at

    def _read_name(self, text: str, start: int) -> tuple[Scan, int]:
        at = self._end_of_name(text, start)
        if at is None:
            return (Scan.BROKEN if len(text) - start > MAX_NAME else Scan.MORE), start
        name = text[start:at].strip()
        if not is_name(name) or any(blank in name for blank in BLANKS) or (self._only is not None and name not in self._only):
            return Scan.BROKEN, start
        self._name, self._step = name, _Step.NAME_END
        for marker, step in ((self._syntax.numbered, _Step.NUMBER), (self._syntax.id_open, _Step.ID)):
            status, end = expect(text, at, marker) if marker else (Scan.BROKEN, at)
            if status is Scan.DONE:
                self._step = step
                return Scan.MORE, end
        return Scan.MORE, at

    def _end_of_name(self, text: str, start: int) -> int | None:
        """Where the name ends; None while that is not to be seen."""
        syntax = self._syntax
        argument = syntax.arguments.open if isinstance(syntax.arguments, TaggedArguments) else ""
        markers = (syntax.name_end, syntax.numbered, syntax.id_open, argument, *self._ends)
        found = [find(text, start, marker) for marker in markers if marker.strip()]
        first = min((at for _, at, _ in found), default=len(text))
        if not syntax.name_end.strip():
            # A line break ends the name, or the arguments themselves.
            begun = len(text) - len(text[start:].lstrip())
            blank = next((at for at in range(begun, first) if text[at] in BLANKS or text[at] == "{"), None)
            if blank is not None:
                return blank
        return first if any(status is Scan.DONE and at == first for status, at, _ in found) else None

    def _read_number(self, text: str, start: int) -> tuple[Scan, int]:
        found = _NUMBER.match(text, start)
        if found is None:
            return (Scan.MORE if not text[start:].strip() else Scan.BROKEN), start
        if found.end() == len(text):
            return Scan.MORE, start
        if self._syntax.id_prefix:
            self.id = f"{self._syntax.id_prefix}{self._name}{self._syntax.numbered}{found.group().strip()}"
        self._step = _Step.NAME_END
        return Scan.MORE, found.end()

    def _read_name_end(self, text: str, start: int) -> tuple[Scan, int]:
        status, at = expect(text, start, self._syntax.name_end)
        if status is Scan.DONE:
            self._step, self._arguments = _Step.ARGUMENTS, self._arguments_reader()
            return Scan.MORE, at
        return status, start

    def _arguments_reader(self) -> ArgumentsReader:
        match self._syntax.arguments:
            case JsonArguments():
                return JsonReader(self._ends)
            case TaggedArguments() as tagged:
                return TaggedReader(tagged, self._ends, self._kinds_of(self._name))
            case LiteralArguments() as literal:
                return LiteralReader(literal)
