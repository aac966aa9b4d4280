"""What a chat format gives the engine (a prompt in segments, a grammar) and what it gets back (pieces of text)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from app.domain.generation import TokenLogprob

__all__ = ["Constraint", "ControlText", "Picture", "Piece", "PlainText", "PromptSegment", "ReasoningLimit", "Sound", "TokenIds"]


@dataclass(frozen=True, slots=True)
class ControlText:
    """Text of the chat template: control tokens written in it are control tokens."""

    text: str


@dataclass(frozen=True, slots=True)
class PlainText:
    """Text of a person, a tool or a client: tokenized as text, whatever it spells."""

    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file's bytes, to be read by the model's projector at this place, no larger than `max_side` pixels each way."""

    data: bytes
    max_side: int | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound file's bytes, to be heard by the model at this place."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TokenIds:
    ids: tuple[int, ...]


PromptSegment: TypeAlias = ControlText | PlainText | Picture | Sound | TokenIds


@dataclass(frozen=True, slots=True)
class Constraint:
    """A grammar the answer must conform to.

    Exactly one of `json_schema` (JSON text) and `lark` (llguidance's Lark dialect) is set. Text up to and including the first
    occurrence of `after` is free; "" binds the answer from its first token.

    With `triggers` the answer is free text in which each occurrence of one of them begins a passage that must conform to the
    grammar, which says what follows the trigger. Behind the passage the text is free again. Triggers don't count before
    `after` has appeared, nor between the two texts of `aside`. All of these may be special tokens of the vocabulary, plain
    text, or both.

    `markers` are texts to which `lark` gives a rule each (`marker_0: "<tool_call>"`): in many vocabularies they are one special
    token, which no string matches, so a vocabulary takes `lark_for` itself. `param` is what the request calls the grammar.

    `begun` is what the prompt holds of the answer already: where the grammar allows it, the answer goes on from there, else the
    grammar begins behind it.
    """

    json_schema: str | None = None
    lark: str | None = None
    after: str = ""
    markers: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    aside: tuple[str, str] | None = None
    param: str = "response_format"
    begun: str = ""

    def lark_for(self, special_token: Callable[[str], int | None]) -> str:
        """`lark` for a vocabulary; `special_token` gives the id of the one special token that a text is, or None."""
        lark = self.lark or ""
        for index, marker in enumerate(self.markers):
            token = special_token(marker)
            if token is not None:
                lark = lark.replace(f"marker_{index}: {json.dumps(marker)}\n", f"marker_{index}: <[{token}]>\n")
        return lark


@dataclass(frozen=True, slots=True)
class ReasoningLimit:
    """After `n_tokens` of reasoning, `closing` is put in as if the model had written it.

    Reasoning stands between `open` and `close`, at the beginning of an answer; `begun` says that the prompt has opened it.
    """

    n_tokens: int
    open: str
    close: str
    closing: str
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """One generated token. `text` may be "" (its bytes end inside a character that a later piece completes).

    `control` is set for control and user-defined special tokens such as `<tool_call>`, whose text is given too; tokens that end
    the answer never appear.
    """

    token_id: int
    text: str
    control: bool = False
    logprob: TokenLogprob | None = None

    def __reduce__(self) -> tuple[type[Piece], tuple[object, ...]]:
        # One for each token crosses the process border; what dataclasses do by themselves takes six times as long.
        return Piece, (self.token_id, self.text, self.control, self.logprob)
