"""An answer in messages with headers, as gpt-oss writes them: pieces of text in, reasoning, content and tool calls out."""

from __future__ import annotations

import enum
import re
import secrets
from collections.abc import Iterable

from app.domain.generation import Tool
from app.domain.prompt import Piece
from app.formats.arguments import JsonReader
from app.formats.expect import BLANKS
from app.formats.json_scan import Scan
from app.formats.ledger import Delta, DeltaLedger
from app.formats.markers import Markers
from app.formats.parser import OutputParser
from app.formats.spec import ChannelSyntax, FormatSpec

__all__ = ["ChannelParser"]

_MAX_HEADER = 300


class _State(enum.Enum):
    HEADER = enum.auto()
    REASONING = enum.auto()
    CONTENT = enum.auto()
    CALL = enum.auto()
    BETWEEN = enum.auto()
    STOPPED = enum.auto()


class ChannelParser:
    """What `OutputParser` is for other formats, and as patient: it never raises, and what is malformed comes out as text."""

    def __init__(
        self,
        spec: FormatSpec,
        channels: ChannelSyntax,
        *,
        tools: Iterable[Tool] = (),
        parallel_calls: bool = True,
        in_content: bool = False,
    ) -> None:
        """`in_content` if the prompt ends in the words of an answer."""
        self._syntax = channels
        self._tools = tuple(tools)
        self._spec = spec
        self._parallel_calls = parallel_calls
        self._out = DeltaLedger()
        self._held = ""
        self._state = _State.CONTENT if in_content else _State.HEADER
        self._ends = Markers((*channels.ends, channels.start))
        self._starts = Markers((channels.start,))
        self._called = False
        self._header_tokens = 0
        self._reasoning_tokens = 0
        self._arguments: JsonReader | None = None
        self._name = ""
        self._has_begun = False
        # Where calls are written in the text of messages, that text is read as other answers are.
        self._words = self._new_words()

    @property
    def called_tools(self) -> bool:
        return self._called or self._words.called_tools

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of messages that are reasoning, their headers included."""
        return self._reasoning_tokens

    @property
    def wants_stop(self) -> bool:
        return self._state is _State.STOPPED or self._words.wants_stop

    def feed(self, piece: Piece) -> tuple[Delta, ...]:
        before = self._state
        self._out.receive(piece)
        self._advance(piece.text, last=False)
        self._header_tokens += before is _State.HEADER
        if _State.REASONING in (before, self._state):
            self._reasoning_tokens += self._header_tokens or 1
        if self._state is not _State.HEADER:
            self._header_tokens = 0
        return self._out.take()

    def finish(self) -> tuple[Delta, ...]:
        """What was held back at the end of the answer."""
        self._advance("", last=True)
        self._words.advance("", last=True)
        self._out.say_rest()
        return self._out.take()

    def _new_words(self) -> OutputParser:
        spec = FormatSpec(tools=self._spec.tools)
        return OutputParser(spec, tools=self._tools, parallel_calls=self._parallel_calls, out=self._out)

    def _advance(self, text: str, *, last: bool) -> None:
        rest: str | None = self._held + text
        self._held = ""
        while rest:
            match self._state:
                case _State.HEADER:
                    rest = self._header(rest, last)
                case _State.REASONING | _State.CONTENT:
                    rest = self._text(rest, last)
                case _State.CALL:
                    rest = self._call(rest, last)
                case _State.BETWEEN:
                    rest = self._between(rest, last)
                case _State.STOPPED:
                    self._out.swallow(len(rest))
                    rest = None

    def _header(self, text: str, last: bool) -> str | None:
        at = text.find(self._syntax.message)
        if 0 <= at <= _MAX_HEADER and self._may_be_header(text):
            self._out.swallow(at + len(self._syntax.message))
            self._begin(text[:at])
            return text[at + len(self._syntax.message) :]
        if last or len(text) > _MAX_HEADER + len(self._syntax.message) or not self._may_be_header(text):
            # No message at all: the model says what it has to say without a header.
            self._state = _State.CONTENT
            return text
        self._held = text
        return None

    def _may_be_header(self, text: str) -> bool:
        begun = text.lstrip(BLANKS)
        begins = (self._syntax.channel, self._syntax.recipient.strip(), self._syntax.message, self._syntax.role)
        return not begun or any(begun.startswith(one) or one.startswith(begun) for one in begins if one)

    def _begin(self, header: str) -> None:
        syntax = self._syntax
        recipient = _behind(header, syntax.recipient)
        channel = _behind(header, syntax.channel)
        if syntax.functions and recipient.startswith(syntax.functions) and self._tools:
            self._name, self._state = recipient.removeprefix(syntax.functions), _State.CALL
            self._arguments, self._has_begun = JsonReader(syntax.ends), False
        elif recipient in syntax.reasoning or channel in syntax.reasoning:
            self._state = _State.REASONING
        else:
            self._state = _State.CONTENT

    def _text(self, text: str, last: bool) -> str | None:
        found = self._ends.find(text, last=last)
        end = found.start if found else len(text) if last else self._ends.begun(text)
        self._write(text[:end], ended=found is not None)
        if found is None:
            self._held = text[end:]
            return None
        return self._ended(text, found.start)

    def _write(self, text: str, *, ended: bool) -> None:
        if self._state is _State.REASONING:
            self._out.reason(text)
            return
        self._words.advance(text, last=ended)
        if ended:
            if self._words.wants_stop:
                self._state = _State.STOPPED
            self._called = self.called_tools
            self._words = self._new_words()

    def _ended(self, text: str, at: int) -> str:
        """Behind a message: its end marker goes; the start of the next one stays."""
        end = next((one for one in self._syntax.ends if text.startswith(one, at)), "")
        self._out.swallow(len(end))
        if self._state is not _State.STOPPED:
            self._state = _State.BETWEEN
        return text[at + len(end) :]

    def _between(self, text: str, last: bool) -> str | None:
        found = self._starts.find(text, last=last)
        if found is None:
            end = len(text) if last else self._starts.begun(text)
            self._out.swallow(end)
            self._held = text[end:]
            return None
        self._out.swallow(found.end)
        self._state = _State.HEADER
        return text[found.end :]

    def _call(self, text: str, last: bool) -> str | None:
        reader = self._arguments
        if reader is None:
            return self._to_content(text)
        status, at = reader.read(text, 0)
        arguments = reader.take()
        if status is Scan.BROKEN and not (arguments or self._has_begun):
            return self._to_content(text)
        if arguments and not self._has_begun:
            self._has_begun = True
            self._out.call(f"call_{secrets.token_hex(12)}", self._name)
        self._out.argue(arguments)
        self._out.swallow(at)
        if status is Scan.BROKEN:
            return self._to_content(text[at:])
        if status is Scan.DONE:
            self._called = True
            self._arguments = None
            self._state = _State.BETWEEN if self._parallel_calls else _State.STOPPED
            return text[at:]
        self._held = text[at:]
        if last:
            self._out.swallow(len(self._held))
            self._held = ""
        return None

    def _to_content(self, text: str) -> str:
        self._arguments, self._state = None, _State.CONTENT
        return text


def _behind(header: str, marker: str) -> str:
    """The word behind a marker in a header; "" if the marker is not there, or is none."""
    if not marker or marker not in header:
        return ""
    found = re.match(r"\s*([^\s<]+)", header.split(marker, 1)[1])
    return found.group(1) if found else ""
