"""Reading what stands between the markers of a tool call: one call, or a list of them."""

from __future__ import annotations

import enum
import secrets
import string

from app.formats.call_reader import CallReader
from app.formats.json_scan import Scan
from app.formats.ledger import DeltaLedger
from app.formats.spec import ToolSyntax

__all__ = ["CallSection"]

_BLANKS = " \t\r\n"


class _Place(enum.Enum):
    BEFORE_CALL = enum.auto()
    IN_CALL = enum.auto()
    AFTER_CALL = enum.auto()
    AFTER_LIST = enum.auto()


class CallSection:
    """Made when the opening marker was read. Writes into the parser's ledger; closed when what follows is no part of it."""

    def __init__(self, syntax: ToolSyntax, out: DeltaLedger, *, first_index: int) -> None:
        self.next_index = first_index
        self.is_closed = False
        self._syntax = syntax
        self._out = out
        self._place = _Place.BEFORE_CALL
        self._in_list = False
        self._reader = CallReader(syntax)
        # Text of which it is not yet known whether it is a call.
        self._open_text = [syntax.open]

    def read(self, text: str, *, single: bool) -> int:
        """Go on with `text`; how much of it was read.

        The rest, unless the section is closed, may be part of the closing marker. `single`: stop after the next complete call.
        """
        first = self.next_index
        at = 0
        while at < len(text) and not self.is_closed and not (single and self.next_index > first):
            if self._place is _Place.IN_CALL:
                at = self._read_call(text, at)
            elif text[at] in _BLANKS or self._begins(text[at]):
                self._open_text.append(text[at])
                at += 1
            elif self._place is _Place.BEFORE_CALL:
                self.give_up()
            else:
                closing = self._syntax.close
                if len(text) - at < len(closing) and closing.startswith(text[at:]):
                    return at
                self.give_up()
                if closing and text.startswith(closing, at):
                    self._out.swallow(len(closing))
                    at += len(closing)
        return at

    def give_up(self) -> None:
        """No more calls come. What was not yet certain is given back as text, unless it only stood between calls."""
        self.is_closed = True
        text = "".join(self._open_text)
        after_call = self._place in (_Place.AFTER_CALL, _Place.AFTER_LIST)
        self._open_text.clear()
        if after_call:
            self._out.swallow(len(text))
        else:
            self._out.say(text)

    def _begins(self, character: str) -> bool:
        """Whether `character` is JSON between calls."""
        match self._place, character:
            case ((_Place.BEFORE_CALL | _Place.AFTER_CALL), "{"):
                self._place, self._reader = _Place.IN_CALL, CallReader(self._syntax)
            case _Place.BEFORE_CALL, "[" if not self._in_list:
                self._in_list = True
            case _Place.AFTER_CALL, ",":
                self._place = _Place.BEFORE_CALL
            case _Place.AFTER_CALL, "]" if self._in_list:
                self._place = _Place.AFTER_LIST
            case _:
                return False
        return True

    def _read_call(self, text: str, start: int) -> int:
        progress = self._reader.read(text, start)
        self._open_text.append(text[start : progress.position])
        if progress.started is not None:
            self._out.call(self.next_index, self._reader.id or self._new_id(), progress.started)
        if self._reader.started:
            self._settle()
            self._out.argue(self.next_index, progress.arguments)
        if progress.status is Scan.BROKEN:
            self.give_up()
        elif progress.status is Scan.DONE:
            self.next_index += 1
            self._place = _Place.AFTER_CALL
        return progress.position

    def _settle(self) -> None:
        self._out.swallow(sum(map(len, self._open_text)))
        self._open_text.clear()

    def _new_id(self) -> str:
        """Formats with ids of their own ask for nine letters and digits."""
        if self._syntax.id_key:
            return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(9))
        return f"call_{secrets.token_hex(12)}"
