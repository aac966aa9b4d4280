"""One answer's pieces of text in, reasoning, content and tool calls out."""

from __future__ import annotations

import enum

from app.domain.prompt import Piece
from app.formats.call_section import CallSection
from app.formats.ledger import Delta, DeltaLedger
from app.formats.spec import FormatSpec

__all__ = ["OutputParser"]

_BLANKS = " \t\r\n"
_LINE_ENDS = "\r\n"
# Blanks before a marker belong to the marker; so many are held back until it is seen whether one comes.
_MAX_HELD_BLANKS = 16


class _State(enum.Enum):
    START = enum.auto()
    REASONING = enum.auto()
    CONTENT = enum.auto()
    CALL = enum.auto()
    STOPPED = enum.auto()


class OutputParser:
    """Turns one answer's pieces into deltas. Never raises: what is malformed comes out as text.

    The work per piece does not grow with the answer. A call that can't be one is given back as text from its opening marker on;
    once its `ToolCallStarted` was given, only from where it breaks. `called_tools` counts complete calls alone.
    """

    def __init__(self, spec: FormatSpec, *, tools: bool, parallel_calls: bool = True, in_reasoning: bool = False) -> None:
        """`tools`: calls are looked for. `in_reasoning`: the prompt itself opened the reasoning."""
        self._reasoning = spec.reasoning
        self._tools = spec.tools if tools else None
        self._parallel_calls = parallel_calls
        self._out = DeltaLedger()
        self._held = ""
        self._skip = _BLANKS if in_reasoning else ""
        self._section: CallSection | None = None
        self._calls = 0
        self._reasoning_tokens = 0
        self._state = _State.CONTENT
        if spec.reasoning:
            self._state = _State.REASONING if in_reasoning else _State.START

    @property
    def called_tools(self) -> bool:
        """Whether at least one complete tool call was read."""
        return self._calls > 0

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of the reasoning, its markers included."""
        return self._reasoning_tokens

    @property
    def wants_stop(self) -> bool:
        """Whether the answer is complete although the model may go on: after the one call of `parallel_tool_calls=False`."""
        return self._state is _State.STOPPED

    def feed(self, piece: Piece) -> tuple[Delta, ...]:
        before = self._state
        self._out.receive(piece)
        self._advance(piece.text, last=False)
        self._reasoning_tokens += _State.REASONING in (before, self._state)
        return self._out.take()

    def finish(self) -> tuple[Delta, ...]:
        """What was held back at the end of the answer."""
        self._advance("", last=True)
        if self._section:
            self._section.give_up()
            self._section = None
        self._out.say_rest()
        return self._out.take()

    def _advance(self, text: str, *, last: bool) -> None:
        rest: str | None = self._held + text
        self._held = ""
        while rest:
            match self._state:
                case _State.START:
                    rest = self._start(rest, last)
                case _State.REASONING:
                    rest = self._reason(rest, last)
                case _State.CONTENT:
                    rest = self._say(rest, last)
                case _State.CALL:
                    rest = self._call(rest, last)
                case _State.STOPPED:
                    self._out.swallow(len(rest))
                    rest = None

    def _start(self, text: str, last: bool) -> str | None:
        """The first words: reasoning begins here or not at all."""
        opening = self._reasoning.open if self._reasoning else ""
        begun = text.lstrip(_BLANKS)
        if begun.startswith(opening):
            self._out.swallow(len(text) - len(begun) + len(opening))
            self._state, self._skip = _State.REASONING, _BLANKS
            return begun[len(opening) :]
        if opening.startswith(begun) and not last and len(text) - len(begun) <= _MAX_HELD_BLANKS:
            self._held = text
            return None
        self._state = _State.CONTENT
        return text

    def _reason(self, text: str, last: bool) -> str | None:
        closing = self._reasoning.close if self._reasoning else ""
        if not (text := self._skipped(text)):
            return None
        at = text.find(closing)
        if at < 0:
            self._out.reason(self._kept(text, closing, last))
            return None
        thought = text[:at].rstrip(_BLANKS)
        self._out.reason(thought)
        self._out.swallow(at - len(thought) + len(closing))
        self._state, self._skip = _State.CONTENT, _LINE_ENDS
        return text[at + len(closing) :]

    def _say(self, text: str, last: bool) -> str | None:
        if not (text := self._skipped(text)):
            return None
        if self._tools is None:
            self._out.say(text)
            return None
        at = text.find(self._tools.open)
        if at < 0:
            self._out.say(self._kept(text, self._tools.open, last))
            return None
        words = text[:at].rstrip(_BLANKS)
        self._out.say(words)
        self._out.swallow(at - len(words))
        self._section = CallSection(self._tools, self._out, first_index=self._calls)
        self._state = _State.CALL
        return text[at + len(self._tools.open) :]

    def _call(self, text: str, last: bool) -> str | None:
        section = self._section
        if section is None:
            self._state = _State.CONTENT
            return text
        read = section.read(text, single=not self._parallel_calls)
        self._calls = section.next_index
        if self._calls and not self._parallel_calls:
            self._section, self._state = None, _State.STOPPED
        elif section.is_closed:
            self._section, self._state = None, _State.CONTENT
            self._skip = _BLANKS if self._calls else ""
        elif not last:
            self._held = text[read:]
            return None
        else:
            self._out.swallow(len(text) - read)
            return None
        return text[read:]

    def _skipped(self, text: str) -> str:
        """`text` without the blanks that follow a marker."""
        if not self._skip:
            return text
        kept = text.lstrip(self._skip)
        self._out.swallow(len(text) - len(kept))
        if kept:
            self._skip = ""
        return kept

    def _kept(self, text: str, marker: str, last: bool) -> str:
        """`text` less what may be the beginning of `marker`, and the blanks before it; those are held."""
        if last:
            return text
        size = min(len(marker) - 1, len(text))
        while size and not text.endswith(marker[:size]):
            size -= 1
        certain = text[: len(text) - size]
        kept = certain.rstrip(_BLANKS)
        if len(certain) - len(kept) > _MAX_HELD_BLANKS:
            kept = certain
        self._held = text[len(kept) :]
        return kept
