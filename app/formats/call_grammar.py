"""The grammar of tool calls, from the same spec by which they are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from app.domain.generation import Tool
from app.formats.argument_shapes import Shape, listed_alone, shapes_of
from app.formats.lark import ANY_TEXT, Lark, escaped_regex
from app.formats.schemas import parameters_of
from app.formats.spec import (
    ChannelSyntax,
    FormatSpec,
    JsonArguments,
    JsonCall,
    LiteralArguments,
    NamedCall,
    TaggedArguments,
    ToolSyntax,
)
from app.formats.value_grammar import JSON_SPACING, LiteralValues, TaggedValues, Values, sequence

__all__ = ["GAP", "CallGrammar", "ChannelGrammar", "channel_reasoning", "channel_words"]

GAP = r"/\n{0,2}/"
_ID = "/[a-zA-Z0-9]{9}/"
_NUMBER = "/[0-9]{1,3}/"
_KEY = "/[A-Za-z_][A-Za-z0-9_]{0,63}/"


class CallGrammar:
    """Writes the calls of some tools. Raises InvalidRequest for a schema that can't be used."""

    def __init__(self, syntax: ToolSyntax, tools: Sequence[Tool], lark: Lark, *, first: int = 0) -> None:
        """`first` numbers the rules of the first tool."""
        self.lark = lark
        self._syntax = syntax
        self._tools = tools
        self._first = first

    def calls(self, *, several: bool) -> str:
        """A section of calls, from its opening on."""
        if not self._syntax.at_start:
            return f"{self.lark.text(self._syntax.opening)} {self._behind_opening(several=several)}"
        # One terminal up to where a call can be told from any other text: terminals take as much as they can.
        first = " | ".join(self._call(index, tool, self._syntax.opening) for index, tool in self._numbered)
        return f"({first}) {self._behind_first(several=several)}"

    def behind_trigger(self, *, several: bool) -> str:
        """The same, from behind the trigger on. Calls outside of a section have a trigger each."""
        is_section = bool(self._syntax.open.strip())
        behind = self.lark.text(self._syntax.behind_trigger)
        return f"{behind} {self._behind_opening(several=several and is_section)}"

    def no_calls(self) -> str:
        """A text that does not begin as one of the calls does."""
        heads = "|".join(escaped_regex(self._head(tool.name)) for tool in self._tools)
        return self.lark.rule("NO_CALLS", f"/{ANY_TEXT}/ & ~/({heads}){ANY_TEXT}/")

    def _head(self, name: str) -> str:
        match self._syntax.call:
            case JsonCall(name_key=""):
                head = "{" + json.dumps(name)
            case JsonCall(name_key=key):
                head = f"{{{json.dumps(key)}: {json.dumps(name)}"
            case NamedCall(name_end=end):
                head = name + end
        return self._syntax.opening + head

    @property
    def _numbered(self) -> Iterator[tuple[int, Tool]]:
        return enumerate(self._tools, self._first)

    def _behind_opening(self, *, several: bool) -> str:
        return f"{self._any_call()} {self._behind_first(several=several)}"

    def _behind_first(self, *, several: bool) -> str:
        syntax, lark = self._syntax, self.lark
        more = f"({lark.text(syntax.between + syntax.call.open)} {self._any_call()})*" if several else ""
        return f"{more} {lark.text(syntax.close)}"

    def _any_call(self) -> str:
        bodies = [self.lark.rule(f"call_{index}", self._call(index, tool)) for index, tool in self._numbered]
        return self.lark.rule(f"calls_from_{self._first}", " | ".join(bodies))

    def _call(self, index: int, tool: Tool, opening: str = "") -> str:
        """One call behind what opens it, or with that and what opens the section."""
        match self._syntax.call:
            case JsonCall() as call:
                body = self._json_body(call, index, tool, opening)
            case NamedCall() as call:
                body = self._named_body(call, index, tool, opening)
        return f"{body} {self.lark.text(self._syntax.call.close)}"

    def _json_body(self, call: JsonCall, index: int, tool: Tool, opening: str) -> str:
        lark = self.lark
        arguments = _json_arguments(self.lark, index, tool)
        if not call.name_key:
            return f'{lark.text(opening + "{" + json.dumps(tool.name) + ": ")} {arguments} "}}"'
        call_id = _NUMBER if call.id_leads else _ID
        quoted = f"{lark.text(json.dumps(call.id_key) + ': ' + chr(34))} {call_id} {lark.text(chr(34))}" if call.id_key else ""
        name = f"{json.dumps(call.name_key)}: {json.dumps(tool.name)}, {json.dumps(call.arguments_key)}: "
        if call.id_key and call.id_leads:
            return f'{lark.text(opening + "{")} {quoted} {lark.text(", " + name)} {arguments} "}}"'
        comma = lark.text(", ") if quoted else ""
        return f'{lark.text(opening + "{" + name)} {arguments} {comma} {quoted} "}}"'

    def _named_body(self, call: NamedCall, index: int, tool: Tool, opening: str) -> str:
        lark = self.lark
        arguments = self._arguments(call, index, tool)
        if not (call.id_first or call.id_open or call.numbered):
            return f"{lark.text(opening + tool.name + call.name_end)} {arguments}"
        id_first = f"{_ID} {lark.text(call.id_first)}" if call.id_first else ""
        call_id = f"{lark.text(call.id_open)} {_ID}" if call.id_open else ""
        number = f"{lark.text(call.numbered)} {_NUMBER}" if call.numbered else ""
        head = f"{lark.text(opening)} {id_first} {lark.text(tool.name)} {call_id} {number} {lark.text(call.name_end)}"
        return f"{head} {arguments}"

    def _arguments(self, call: NamedCall, index: int, tool: Tool) -> str:
        match call.arguments:
            case JsonArguments():
                return _json_arguments(self.lark, index, tool)
            case TaggedArguments() as tagged:
                return self._tagged(tagged, index, tool)
            case LiteralArguments(dialect):
                values = Values(self.lark, f"a{index}", parameters_of(tool))
                pair = "=" if dialect == "python" else ":"
                return self._pairs(values, LiteralValues(values, dialect), pair, ", " if dialect == "python" else ",")

    def _pairs(self, values: Values, literals: LiteralValues, pair: str, comma: str) -> str:
        lark = self.lark

        def items(shape: Shape, prefix: str) -> list[tuple[str, bool]]:
            return [
                (f"{lark.text(literals.name(key) + pair)} {literals.of(f'{prefix}_{number}', schema)}", required)
                for number, (key, schema, required) in enumerate(shape)
            ]

        def others(shape: Shape, prefix: str) -> str:
            return f"{self._other_name(shape, prefix)} {lark.text(pair)} {literals.of(f'{prefix}_other', shape.others)}"

        return self._shapes(values, items, others, comma)

    def _tagged(self, tagged: TaggedArguments, index: int, tool: Tool) -> str:
        lark = self.lark
        values = Values(lark, f"a{index}", parameters_of(tool))
        written = TaggedValues(values, tagged)

        def items(shape: Shape, prefix: str) -> list[tuple[str, bool]]:
            found = []
            for number, (key, schema, required) in enumerate(shape):
                close = tagged.close + (key + tagged.close_end if tagged.close_end else "")
                value = written.of(f"{prefix}_{number}", schema, end=close)
                found.append((f"{lark.text(tagged.open + key)} {value}", required))
            return found

        def others(shape: Shape, prefix: str) -> str:
            if tagged.close_end:
                # The name would have to be repeated, which no grammar of this kind can ask for.
                return ""
            value = written.of(f"{prefix}_other", shape.others, end=tagged.close)
            return f"{lark.text(tagged.open)} {self._other_name(shape, prefix)} {value}"

        return self._shapes(values, items, others, tagged.between)

    def _other_name(self, shape: Shape, prefix: str) -> str:
        named = "|".join(escaped_regex(name) for name, _, _ in shape)
        return self.lark.rule(f"KEY_{prefix}".upper(), f"{_KEY} & ~/{named}/") if named else self.lark.rule("KEY", _KEY)

    def _shapes(
        self,
        values: Values,
        items: Callable[[Shape, str], list[tuple[str, bool]]],
        others: Callable[[Shape, str], str],
        joint: str,
    ) -> str:
        """The arguments in any of the sets that the schema leaves to choose from: those it names, then those it doesn't."""
        found = []
        for index, shape in enumerate(shapes_of(values.schema)):
            prefix = f"{values.name}_s{index}"
            named = items(shape, prefix)
            other = others(shape, prefix) if shape.others is not None else ""
            found.append(sequence(self.lark, f"{prefix}_rest", named, joint, other))
        return f"({' | '.join(found)})" if all(found) else f"({' | '.join(filter(None, found))})?" if any(found) else ""


class ChannelGrammar:
    """Answers in messages: reasoning may come first, then a call or the words."""

    def __init__(self, spec: FormatSpec, channels: ChannelSyntax, tools: Sequence[Tool]) -> None:
        self.lark = Lark()
        self._spec = spec
        self._channels = channels
        self._tools = tools

    @property
    def trigger(self) -> str:
        if self._spec.tools is not None:
            return self._spec.tools.trigger
        return f"{self._channels.recipient.strip()}{self._channels.functions}"

    def behind_trigger(self) -> str:
        if self._spec.tools is not None:
            return CallGrammar(self._spec.tools, self._tools, self.lark).behind_trigger(several=False)
        header = self._channels.call_header.split("{name}", 1)[1]
        calls = (
            f"{self.lark.text(tool.name + header + self._channels.message)} {_json_arguments(self.lark, index, tool)}"
            for index, tool in enumerate(self._tools)
        )
        return f"({' | '.join(calls)})"

    def answer(self, words: str | None) -> str:
        """A whole answer: a call where there are tools, or words that `words` is the grammar of."""
        channels, lark = self._channels, self.lark
        opening, end = channel_reasoning(channels)
        joint = f"{end}{channels.start}{channels.role}"
        thought = f"({lark.text(opening)} {lark.text_until('THOUGHT', joint)})?"
        choices = [self._call(index, tool) for index, tool in enumerate(self._tools)]
        if words is not None:
            choices.append(f"{lark.text(channel_words(channels))} {words}")
        return f"{thought} ({' | '.join(choices)})"

    def _call(self, index: int, tool: Tool) -> str:
        head = self.lark.text(self._channels.call_header.replace("{name}", tool.name) + self._channels.message)
        if self._spec.tools is None:
            return f"{head} {_json_arguments(self.lark, index, tool)}"
        return f"{head} {CallGrammar(self._spec.tools, [tool], self.lark, first=index).calls(several=False)}"


def channel_reasoning(channels: ChannelSyntax) -> tuple[str, str]:
    """What stands around a message of reasoning."""
    return f"{channels.channel or channels.recipient}{channels.reasoning[0]}{channels.message}", channels.ends[0]


def channel_words(channels: ChannelSyntax) -> str:
    """The header of the message that a person reads."""
    return f"{channels.channel}final{channels.message}" if channels.channel else f"{channels.recipient}user{channels.message}"


def _json_arguments(lark: Lark, index: int, tool: Tool) -> str:
    schema = json.dumps({**listed_alone(parameters_of(tool)), "x-guidance": JSON_SPACING})
    return lark.rule(f"arguments_{index}", f"%json {schema}")
