"""One answer's pieces of text in, reasoning, content and tool calls out."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from app.domain.generation import Tool
from app.domain.prompt import Piece
from app.formats.argument_kinds import ArgumentKinds
from app.formats.call_section import CallSection
from app.formats.expect import BLANKS
from app.formats.ledger import Delta, DeltaLedger
from app.formats.markers import Found, Markers
from app.formats.spec import FormatSpec, JsonCall

__all__ = ["OutputParser"]

_LINE_ENDS = "\r\n"
# Blanks before a marker belong to the marker; so many are held back until it is seen whether one comes.
_MAX_HELD_BLANKS = 16
# Llama 3 writes it before calls at times.
_CODE_TAG = "<|python_tag|>"


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

    def __init__(
        self,
        spec: FormatSpec,
        *,
        tools: Iterable[Tool] = (),
        parallel_calls: bool = True,
        in_reasoning: bool = False,
        out: DeltaLedger | None = None,
    ) -> None:
        """`tools` are those that the model was told of; calls are looked for where there are any. `in_reasoning`: the prompt
        itself opened the reasoning. `out` is where to write if another parser shares it.
        """
        self._kinds: Mapping[str, ArgumentKinds] = {tool.name: ArgumentKinds.of(tool.parameters) for tool in tools}
        self._reasoning = spec.reasoning
        self._tools = spec.tools if self._kinds else None
        self._parallel_calls = parallel_calls
        self._out = out or DeltaLedger()
        words = (spec.content.open, spec.content.close) if spec.content else ()
        self._trigger = self._tools.trigger if self._tools else ""
        self._markers = Markers((self._trigger, *words))
        self._at_start = self._tools is not None and self._tools.at_start
        self._held = ""
        self._skip = BLANKS if in_reasoning else ""
        self._section: CallSection | None = None
        self._called = False
        self._opening_tokens = 0
        self._reasoning_tokens = 0
        self._state = _State.CONTENT
        if spec.reasoning:
            self._closing = Markers((spec.reasoning.close,))
            self._state = _State.REASONING if in_reasoning else _State.START

    @property
    def called_tools(self) -> bool:
        """Whether at least one complete tool call was read."""
        return self._called

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
        self.advance(piece.text, last=False)
        self._opening_tokens += before is _State.START
        if _State.REASONING in (before, self._state):
            self._reasoning_tokens += self._opening_tokens or 1
        if self._state is not _State.START:
            self._opening_tokens = 0
        return self._out.take()

    def finish(self) -> tuple[Delta, ...]:
        """What was held back at the end of the answer."""
        self.advance("", last=True)
        self._out.say_rest()
        return self._out.take()

    def advance(self, text: str, *, last: bool) -> None:
        """Read text that the ledger has received already. Behind the `last` one there is none."""
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
        if last and self._section:
            self._section.give_up()
            self._section = None

    def _start(self, text: str, last: bool) -> str | None:
        """The first words: reasoning begins here or not at all."""
        opening = self._reasoning.open if self._reasoning else ""
        begun = text.lstrip(BLANKS)
        if begun.startswith(opening):
            self._out.swallow(len(text) - len(begun) + len(opening))
            self._state, self._skip = _State.REASONING, BLANKS
            return begun[len(opening) :]
        if opening.startswith(begun) and not last and len(text) - len(begun) <= _MAX_HELD_BLANKS:
            self._held = text
            return None
        self._state = _State.CONTENT
        return text

    def _reason(self, text: str, last: bool) -> str | None:
        if not (text := self._skipped(text)):
            return None
        found = self._closing.find(text, last=last)
        if found is None:
            self._out.reason(self._kept(text, self._closing, last))
            return None
        thought = text[: found.start].rstrip(BLANKS)
        self._out.reason(thought)
        self._out.swallow(found.end - len(thought))
        self._state, self._skip = _State.CONTENT, _LINE_ENDS
        return text[found.end :]

    def _say(self, text: str, last: bool) -> str | None:
        if not (text := self._skipped(text)):
            return None
        if self._at_start:
            return self._say_first(text, last)
        found = self._markers.find(text, last=last)
        if found is None:
            self._out.say(self._kept(text, self._markers, last))
            return None
        if found.text != self._trigger:
            return self._past_marker(text, found)
        words = text[: found.start].rstrip(BLANKS)
        self._out.say(words)
        self._out.swallow(found.start - len(words))
        self._begin_calls()
        return text[found.end :]

    def _past_marker(self, text: str, found: Found) -> str:
        """A marker around the answer's words; what was before it is kept as it is."""
        self._out.say(text[: found.start])
        self._out.swallow(found.end - found.start)
        return text[found.end :]

    def _say_first(self, text: str, last: bool) -> str | None:
        """The first words of an answer, where calls stand there or nowhere."""
        begun = text.lstrip(BLANKS)
        if begun.startswith(_CODE_TAG):
            self._out.swallow(len(text) - len(begun) + len(_CODE_TAG))
            return begun[len(_CODE_TAG) :]
        if not last and _CODE_TAG.startswith(begun) and len(text) <= _MAX_HELD_BLANKS + len(_CODE_TAG):
            self._held = text
            return None
        self._at_start = False
        syntax = self._tools
        if syntax is not None and begun.startswith(("{", "[") if isinstance(syntax.call, JsonCall) else "["):
            self._begin_calls()
        return text

    def _begin_calls(self) -> None:
        if self._tools is not None:
            self._section = CallSection(self._tools, self._out, self._kinds)
            self._state = _State.CALL

    def _call(self, text: str, last: bool) -> str | None:
        section = self._section
        if section is None:
            self._state = _State.CONTENT
            return text
        read = section.read(text, single=not self._parallel_calls)
        self._called = self._called or section.n_complete > 0
        if self._called and not self._parallel_calls:
            self._section, self._state = None, _State.STOPPED
        elif section.is_closed:
            self._section, self._state = None, _State.CONTENT
            self._skip = BLANKS if self._called else ""
        elif last:
            section.give_up(text[read:])
            self._section = None
            return None
        else:
            self._held = text[read:]
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

    def _kept(self, text: str, markers: Markers, last: bool) -> str:
        """`text` less what may be the beginning of a marker, and the blanks before it; those are held."""
        if last:
            return text
        certain = text[: markers.begun(text)]
        kept = certain.rstrip(BLANKS) if markers else certain
        if len(certain) - len(kept) > _MAX_HELD_BLANKS:
            kept = certain
        self._held = text[len(kept) :]
        return kept
