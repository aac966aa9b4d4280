"""The surface of one model's answers: which markers stand around reasoning and tool calls."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["TAG", "FormatSpec", "ReasoningSyntax", "ToolSyntax"]


# A marker: a tag, or a word in brackets and capitals.
TAG = re.compile(r"<[^<>\s]{1,40}>|\[[A-Z_/]{3,30}\]")


@dataclass(frozen=True, slots=True)
class ReasoningSyntax:
    """Reasoning stands between `open` and `close`, at the beginning of an answer."""

    open: str
    close: str


@dataclass(frozen=True, slots=True)
class ToolSyntax:
    """Tool calls written as JSON objects between markers.

    `open`, then one object with the keys `name_key` and `arguments_key`, then `close`; with `listed`, an array of such objects
    stands there instead. Markers are without the blanks around them; those the model was trained with are `lead` (between
    `open` and the JSON) and `trail` (between the JSON and `close`); `between` joins two calls that are not listed. An empty
    `close` means that the answer ends with the JSON. `id_key` is the key of the call's id where the format has one.
    """

    open: str
    close: str
    name_key: str = "name"
    arguments_key: str = "arguments"
    id_key: str | None = None
    listed: bool = False
    lead: str = ""
    trail: str = ""
    between: str = ""


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """None where the template shows no such thing, or writes it in a way that is not understood."""

    reasoning: ReasoningSyntax | None = None
    tools: ToolSyntax | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FormatSpec:
        """The inverse of `as_json`."""
        reasoning, tools = value.get("reasoning"), value.get("tools")
        return cls(ReasoningSyntax(**reasoning) if reasoning else None, ToolSyntax(**tools) if tools else None)
