"""The surface of one model's answers: which markers stand around reasoning, words and tool calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "JSON_TYPES",
    "PROMPTED_TOOLS",
    "TAG",
    "Arguments",
    "CallSyntax",
    "ChannelSyntax",
    "ContentSyntax",
    "FormatSpec",
    "JsonArguments",
    "JsonCall",
    "LiteralArguments",
    "NamedCall",
    "ReasoningSyntax",
    "TaggedArguments",
    "ToolSyntax",
]

# A marker: a tag, or a word in brackets and capitals; and the one of a family that writes none of these.
TAG = re.compile(r"\]<\]minimax\[>\[|<[^<>\s]{1,40}>|\[[A-Z_/]{3,30}\]")


# But strings, by their names in JSON Schema.
JSON_TYPES = ("number", "boolean", "null", "array", "object")


@dataclass(frozen=True, slots=True)
class ReasoningSyntax:
    """Reasoning stands between `open` and `close`, at the beginning of an answer. Both without the blanks around them."""

    open: str
    close: str


@dataclass(frozen=True, slots=True)
class ContentSyntax:
    """Markers around the words of an answer, which nobody sees. Without the blanks around them."""

    open: str
    close: str


@dataclass(frozen=True, slots=True)
class JsonArguments:
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class TaggedArguments:
    """One passage for each argument: `open`, its name, `name_end`, its value, `close`. `between` joins two of them.

    A text stands as it is, anything else as JSON. Where `json_name_end` is given, it follows the name of an argument whose
    value is JSON, and `name_end` that of a text; `{type}` in it stands for one of `JSON_TYPES`. With `close_end`, the name
    stands again between `close` and `close_end`.
    """

    open: str
    name_end: str
    close: str
    between: str = ""
    json_name_end: str = ""
    close_end: str = ""

    @property
    def json_name_ends(self) -> tuple[str, ...]:
        """`json_name_end` of each type; none where JSON has no name's end of its own."""
        if not self.json_name_end:
            return ()
        return tuple(dict.fromkeys(self.json_name_end.replace("{type}", kind) for kind in JSON_TYPES))


@dataclass(frozen=True, slots=True)
class LiteralArguments:
    """Pairs of name and value joined by commas: `a='x', n=7` of PYTHON, `a:<|"|>x<|"|>,n:7` of GEMMA."""

    dialect: Literal["python", "gemma"]


Arguments: TypeAlias = JsonArguments | TaggedArguments | LiteralArguments


@dataclass(frozen=True, slots=True)
class JsonCall:
    """`open`, one JSON object with name and arguments under these keys, `close`.

    `id_key` is the key of the call's id where the format has one; it comes last unless `id_leads`. An empty `name_key` means
    that the function's name is itself the key of the arguments.
    """

    open: str = ""
    close: str = ""
    name_key: str = "name"
    arguments_key: str = "arguments"
    id_key: str | None = None
    id_leads: bool = False


@dataclass(frozen=True, slots=True)
class NamedCall:
    """`open`, the function's name, `name_end`, the arguments, `close`.

    An id stands between `open` and the name if `id_first` is the text that ends it there, or between the name and `name_end` if
    `id_open` is the text that begins it. With `numbered`, the name is followed by that text and the call's number, from
    `first_number` on; where
    `id_prefix` is given, that, the name, `numbered` and the number are the call's id.
    """

    open: str
    name_end: str
    close: str
    arguments: Arguments = JsonArguments()
    id_first: str = ""
    id_open: str = ""
    numbered: str = ""
    id_prefix: str = ""
    first_number: int = 0


CallSyntax: TypeAlias = JsonCall | NamedCall


@dataclass(frozen=True, slots=True)
class ToolSyntax:
    """`open`, the calls joined by `between`, `close`: to the letter as the model was trained to write them.

    An empty `close`, of the section or a call, means that the answer or the next call follows at once. With `at_start`, calls
    stand at the beginning of an answer or nowhere: nothing marks them but their own shape.
    """

    call: CallSyntax
    open: str = ""
    close: str = ""
    between: str = ""
    at_start: bool = False

    @property
    def opening(self) -> str:
        """All that stands before the first call's own text."""
        return self.open + self.call.open

    @property
    def trigger(self) -> str:
        """The beginning of `opening`, less its blanks, at which calls are recognised in free text; "" with `at_start`.

        It is what opens the section, without the bracket of a list, or else the first marker or line that opens a call.
        """
        if self.at_start:
            return ""
        if section := self.open.strip().rstrip("[").rstrip():
            return section
        text = self.call.open.strip()
        found = TAG.match(text)
        return found.group() if found else text.splitlines()[0]

    @property
    def behind_trigger(self) -> str:
        """What is left of `opening` behind the trigger."""
        return self.opening.lstrip()[len(self.trigger) :]


@dataclass(frozen=True, slots=True)
class ChannelSyntax:
    """An answer in messages, each with a header that says where it goes.

    `start` and `role` begin a message, except the first, which the prompt has begun; then come the header, `message`, the text,
    and one of `ends` or the end of the answer. A header may name a channel behind `channel` and a recipient behind `recipient`.
    Messages to a channel or recipient of `reasoning` are reasoning. A recipient that begins with `functions` ("" where calls
    are written as the spec's `tools` say) is a function, and the text is the JSON of its arguments; `call_header` is the
    header of such a message as the model writes it, with `{name}` for the function's name.
    """

    start: str
    role: str
    channel: str
    recipient: str
    message: str
    ends: tuple[str, ...]
    reasoning: tuple[str, ...]
    functions: str = ""
    call_header: str = ""


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """None where the template shows no such thing, or writes it in a way that is not understood.

    `channels` takes the place of the others: with it, reasoning, words and calls are all messages.
    """

    reasoning: ReasoningSyntax | None = None
    tools: ToolSyntax | None = None
    content: ContentSyntax | None = None
    channels: ChannelSyntax | None = None


PROMPTED_TOOLS = ToolSyntax(JsonCall("<tool_call>\n", "\n</tool_call>"), between="\n")
"""How models are asked to call where their template has no words for it."""
