"""Reading tool calls: one behind its marker, or all that stand between the markers of a section."""

from __future__ import annotations

import enum
import secrets
import string
from collections.abc import Mapping

from app.formats.argument_kinds import ArgumentKinds
from app.formats.call_progress import CallReader
from app.formats.expect import behind_blanks, expect, expect_any
from app.formats.json_call import JsonCallReader
from app.formats.json_scan import Scan
from app.formats.ledger import DeltaLedger
from app.formats.named_call import NamedCallReader
from app.formats.spec import JsonCall, NamedCall, ToolSyntax

__all__ = ["CallSection"]

_UNKNOWN = ArgumentKinds()


class _Place(enum.Enum):
    BEFORE_FIRST = enum.auto()
    BEFORE_CALL = enum.auto()
    IN_CALL = enum.auto()
    BEHIND_CALL = enum.auto()
    BETWEEN_CALLS = enum.auto()


class CallSection:
    """Made when the trigger was read. Writes into the parser's ledger; closed when what follows is no part of it.

    `kinds` are those of the functions that the model was told of, by name.
    """

    def __init__(self, syntax: ToolSyntax, out: DeltaLedger, kinds: Mapping[str, ArgumentKinds]) -> None:
        self.n_complete = 0
        self.is_closed = False
        self._syntax = syntax
        self._out = out
        self._kinds = kinds
        self._place = _Place.BEFORE_FIRST
        self._is_section = bool(syntax.open.strip())
        # A body without a marker of its own stands in a list; models write a list of one without its brackets, and the reverse.
        self._lists = isinstance(syntax.call, JsonCall) or not syntax.call.open
        self._behind_trigger = syntax.behind_trigger.rstrip("[ \n") if self._lists else syntax.behind_trigger
        self._section_end = syntax.close.lstrip("] \n") if self._lists else syntax.close
        self._call_ends = _endings(syntax.call.close)
        self._in_list = False
        # Its closing marker was not where it should be.
        self._call_is_open = False
        self._reader = self._new_reader()
        # Text of which it is not yet known whether it is a call.
        self._open_text = [syntax.trigger]

    def read(self, text: str, *, single: bool) -> int:
        """Go on with `text`; how much of it was read. The rest, unless the section is closed, is to be given again with more.

        `single`: stop after the next complete call.
        """
        first = self.n_complete
        at, before = 0, (-1, self._place)
        while not self.is_closed and not (single and self.n_complete > first) and before != (at, self._place):
            before = (at, self._place)
            at = self._read_call(text, at) if self._place is _Place.IN_CALL else self._read_around(text, at)
        return at

    def give_up(self, rest: str = "") -> None:
        """No more calls come, and `rest` is the end of the answer, if anything.

        What was not yet certain is given back as text, unless it only stood between calls or belongs to one that was cut off.
        """
        self.is_closed = True
        text = "".join(self._open_text) + rest
        self._open_text.clear()
        if self._place in (_Place.BEHIND_CALL, _Place.BETWEEN_CALLS) or (
            self._place is _Place.IN_CALL and self._reader.started
        ):
            self._out.swallow(len(text))
        else:
            self._out.say(text)

    def _read_around(self, text: str, start: int) -> int:
        match self._place:
            case _Place.BEFORE_FIRST:
                status, at = expect(text, start, self._behind_trigger)
                then = _Place.BEFORE_CALL
            case _Place.BEHIND_CALL:
                status, at = expect_any(text, start, self._call_ends)
                self._call_is_open = status is Scan.BROKEN and bool(self._call_ends)
                if status is Scan.BROKEN:
                    status, at = Scan.DONE, start
                then = _Place.BETWEEN_CALLS
            case _Place.BEFORE_CALL:
                return self._before_call(text, start)
            case _:
                return self._between_calls(text, start)
        if status is Scan.BROKEN:
            self.give_up()
        elif status is Scan.DONE:
            self._place = then
            return self._past(text, start, at)
        return start

    def _before_call(self, text: str, start: int) -> int:
        if not self._lists:
            self._place = _Place.IN_CALL
            return start
        at = behind_blanks(text, start)
        if at == len(text):
            return start
        if text[at] == "[" and not self._in_list:
            self._in_list = True
            return self._past(text, start, at + 1)
        if not self._begins_body(text[at]):
            self.give_up()
            return start
        self._place = _Place.IN_CALL
        return self._past(text, start, at)

    def _between_calls(self, text: str, start: int) -> int:
        if not (self._is_section or self._in_list or self._syntax.at_start or self._call_is_open):
            self.give_up()
            return start
        at = behind_blanks(text, start)
        closed, end = expect_any(text, at, (self._section_end, *(self._call_ends if self._call_is_open else ())))
        if closed is Scan.DONE:
            self._past(text, start, end)
            self.give_up()
            return end
        opened, behind = self._next_opening(text, at)
        if opened is Scan.DONE:
            self._place, self._reader = _Place.IN_CALL, self._new_reader()
            return self._past(text, start, behind)
        if at < len(text) and text[at] == "]" and self._in_list:
            self._in_list, self._place = False, _Place.BEHIND_CALL
            return self._past(text, start, at + 1)
        if at < len(text) and text[at] in ",;":
            return self._past(text, start, at + 1)
        if at < len(text) and Scan.MORE not in (closed, opened):
            self.give_up()
        return start

    def _past(self, text: str, start: int, end: int) -> int:
        self._open_text.append(text[start:end])
        return end

    def _begins_body(self, character: str) -> bool:
        return character == "{" if isinstance(self._syntax.call, JsonCall) else character.isidentifier()

    def _next_opening(self, text: str, at: int) -> tuple[Scan, int]:
        """Whether another call begins, and where its body does."""
        call = self._syntax.call
        status = Scan.BROKEN
        if call.open.strip() and self._is_section:
            status, behind = expect(text, at, call.open)
            if status is Scan.DONE:
                return status, behind
        if at == len(text):
            return Scan.MORE, at
        if self._lists and self._begins_body(text[at]):
            return Scan.DONE, at
        return status, at

    def _read_call(self, text: str, start: int) -> int:
        progress = self._reader.read(text, start)
        self._past(text, start, progress.position)
        if progress.started is not None:
            self._out.call(self._reader.id or self._new_id(), progress.started)
        if self._reader.started:
            self._settle()
            self._out.argue(progress.arguments)
        if progress.status is Scan.BROKEN:
            self.give_up()
        elif progress.status is Scan.DONE:
            self.n_complete += 1
            self._place = _Place.BEHIND_CALL
        return progress.position

    def _settle(self) -> None:
        self._out.swallow(sum(map(len, self._open_text)))
        self._open_text.clear()

    def _new_reader(self) -> CallReader:
        # Where nothing but its shape shows a call, its name must be one of those that were offered.
        only = self._kinds if self._syntax.at_start else None
        match self._syntax.call:
            case JsonCall() as call:
                return JsonCallReader(call, only=only)
            case NamedCall() as call:
                ends = (*self._call_ends, *_endings(self._syntax.close))
                return NamedCallReader(call, ends, self._kinds_of, only=only)

    def _kinds_of(self, name: str) -> ArgumentKinds:
        return self._kinds.get(name, _UNKNOWN)

    def _new_id(self) -> str:
        """Formats with ids of their own ask for nine letters and digits."""
        call = self._syntax.call
        if call.id_key if isinstance(call, JsonCall) else call.id_first or call.id_open:
            return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(9))
        return f"call_{secrets.token_hex(12)}"


def _endings(close: str) -> tuple[str, ...]:
    """A closing marker; of one in several lines, the last lines alone too, as models leave the first ones out."""
    lines = close.strip().splitlines()
    return tuple("\n".join(lines[first:]) for first in range(len(lines)))
