"""Reading how a model writes tool calls off its chat template, by rendering turns with one call and two."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.formats.marks import common_prefix
from app.formats.spec import (
    TAG,
    Arguments,
    CallSyntax,
    JsonArguments,
    JsonCall,
    LiteralArguments,
    NamedCall,
    ReasoningSyntax,
    TaggedArguments,
    ToolSyntax,
)
from app.formats.template import ChatTemplate
from app.formats.traits import FUNCTION, NUMBERS, QUESTION, TOOL, WORDS, TemplateTraits, probe, tool_call_turn

__all__ = ["ANSWER", "derive_tools"]

ANSWER = "Wzxw4"
_ID = re.compile(r"call0000[12]")
_BOTH: Mapping[str, Any] = {**WORDS, **NUMBERS}
_WORD_KEY, _WORD_VALUE = next(iter(WORDS.items()))
_NUMBER_KEY, _NUMBER_VALUE = next((key, str(value)) for key, value in NUMBERS.items())


@dataclass(frozen=True, slots=True)
class _Body:
    """One call's own text, JSON or from its name (or id) to the end of its arguments, and its syntax less what is around."""

    start: int
    end: int
    syntax: CallSyntax


def derive_tools(template: ChatTemplate, traits: TemplateTraits, reasoning: ReasoningSyntax | None) -> ToolSyntax | None:
    """None where the template writes no calls, or in a way that is not understood."""
    if not traits.calls:
        return None
    turns = _Turns(template, traits, reasoning)
    one = turns.calls(1)
    first = _body(turns, one, 0) if one else None
    if one is None or first is None:
        return None
    two = turns.calls(2)
    second = _body(turns, two, 1) if two else None
    if two is None or second is None:
        return _single(one, first)
    first = _body(turns, two, 0) or first
    return _section(two, first, second)


class _Turns:
    """An assistant's turns, from where they differ from a turn of words to where the turn ends."""

    def __init__(self, template: ChatTemplate, traits: TemplateTraits, reasoning: ReasoningSyntax | None) -> None:
        self._template = template
        self._traits = traits
        self._reasoning = reasoning
        self._user = traits.turn("user", QUESTION)
        self._words = self._rendered(traits.turn("assistant", ANSWER)) or ""
        self._prompt = self._behind_question(
            probe(template, [self._user], tools=[TOOL] if traits.tools else traits.no_tools) or ""
        )

    def calls(self, count: int, arguments: Mapping[str, Any] = _BOTH) -> str | None:
        """The text of a turn of `count` calls; None if they are not in it."""
        text = self._rendered(tool_call_turn(count, traits=self._traits, arguments=arguments))
        if text is None or text.count(FUNCTION) < count:
            return None
        start = max(_snapped(text, common_prefix(text, other)) for other in (self._words, self._prompt))
        return self._without_end(self._without_reasoning(text[start:]))

    def _rendered(self, turn: Mapping[str, Any]) -> str | None:
        tools = [TOOL] if self._traits.tools else self._traits.no_tools
        text = probe(self._template, [self._user, turn], tools=tools, add_generation_prompt=False)
        return None if text is None else self._behind_question(text)

    def _behind_question(self, text: str) -> str:
        return text[text.rfind(QUESTION) + len(QUESTION) :]

    def _without_reasoning(self, text: str) -> str:
        """Without the empty reasoning that some templates write before calls."""
        for marker in (self._reasoning.open, self._reasoning.close) if self._reasoning else ():
            if text.lstrip().startswith(marker):
                text = text.lstrip()[len(marker) :].lstrip("\n")
        return text

    def _without_end(self, text: str) -> str:
        """`text` less what ends any answer."""
        words_end = self._words[self._words.rfind(ANSWER) + len(ANSWER) :] if ANSWER in self._words else ""
        for end in (words_end, words_end.rstrip(), words_end.strip(), self._template.eos_text):
            if end.strip() and text.rstrip().endswith(end.rstrip()):
                return text.rstrip()[: -len(end.rstrip())]
        return text


# -------------------------------------------------------------------------------------------------------------- one call
def _body(turns: _Turns, text: str, index: int) -> _Body | None:
    """The call with this index."""
    at = -1
    for _ in range(index + 1):
        at = text.find(FUNCTION, at + 1)
    return _json_body(text, at) or _named_body(turns, text, at)


def _json_body(text: str, named: int) -> _Body | None:
    """The outermost JSON object that holds the function's name."""
    start = text.find("{", text.rfind(FUNCTION, 0, named) + 1 if FUNCTION in text[:named] else 0)
    while 0 <= start < named:
        value, end = _json_at(text, start)
        if end > named and isinstance(value, dict):
            syntax = _json_syntax(value)
            return _Body(start, end, syntax) if syntax else None
        start = text.find("{", start + 1)
    return None


def _json_at(text: str, start: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        return None, 0


def _json_syntax(value: Mapping[str, Any]) -> JsonCall | None:
    if value.get(FUNCTION) == _BOTH:
        return JsonCall(name_key="")
    name = next((key for key, item in value.items() if item == FUNCTION), None)
    arguments = next((key for key, item in value.items() if item == _BOTH), None)
    call_id = next((key for key, item in value.items() if _is_id(item)), None)
    if not name or not arguments:
        return None
    return JsonCall(name_key=name, arguments_key=arguments, id_key=call_id, id_leads=next(iter(value)) == call_id)


def _is_id(item: Any) -> bool:
    """An id is what the turn gave, or the number that some templates write in its place."""
    return isinstance(item, str) and bool(_ID.fullmatch(item) or item.isdecimal())


def _named_body(turns: _Turns, text: str, named: int) -> _Body | None:
    behind = named + len(FUNCTION)
    rest = text[behind:]
    if rest.startswith("(") and _WORD_KEY in rest:
        return _literal_body(text, named, "(", ")", LiteralArguments("python"))
    if rest.startswith(f"{{{_WORD_KEY}:"):
        return _literal_body(text, named, "{", "}", LiteralArguments("gemma"))
    brace = rest.find("{")
    value, end = _json_at(rest, brace) if brace >= 0 else (None, 0)
    if value == _BOTH:
        return _Body(_id_start(text, named), behind + end, _named_syntax(text, named, rest[:brace], JsonArguments()))
    return _tagged_body(turns, text, named)


def _literal_body(text: str, named: int, name_end: str, close: str, arguments: Arguments) -> _Body | None:
    end = text.find(close, text.find(_NUMBER_VALUE, named))
    return _Body(named, end, NamedCall("", name_end, "", arguments)) if end >= 0 else None


def _id_start(text: str, named: int) -> int:
    """Where the call's own text begins: at an id before the name, if one is there."""
    ids = [found for found in _ID.finditer(text, 0, named) if TAG.fullmatch(text[found.end() : named].strip())]
    return ids[-1].start() if ids else named


def _named_syntax(text: str, named: int, between: str, arguments: Arguments) -> NamedCall:
    """`between` stands between name and arguments."""
    start = _id_start(text, named)
    id_first = text[start:named].removeprefix(text[start : start + len("call00001")]) if start < named else ""
    if found := _ID.search(between):
        return NamedCall("", between[found.end() :], "", arguments, id_first, id_open=between[: found.start()])
    if (number := re.match(r"([^0-9<]{1,12})([0-9])(?=[^0-9])", between)) and arguments == JsonArguments():
        return NamedCall("", between[number.end() :], "", arguments, id_first, numbered=number.group(1))
    return NamedCall("", between, "", arguments, id_first)


def _tagged_body(turns: _Turns, text: str, named: int) -> _Body | None:
    """Arguments in passages: what is around them shows by comparing one argument with two."""
    positions = _positions(text, named + len(FUNCTION))
    single = turns.calls(1, WORDS)
    if positions is None or single is None:
        return None
    key, value, next_key, next_value, end = positions
    head, name_end, joint, json_name_end = (
        text[named + len(FUNCTION) : key],
        text[key + len(_WORD_KEY) : value],
        text[value + len(_WORD_VALUE) : next_key],
        text[next_key + len(_NUMBER_KEY) : next_value],
    )
    tail = single[single.rfind(_WORD_VALUE) + len(_WORD_VALUE) :]
    if _WORD_KEY in joint:
        return None
    close = _snapped_text(joint[: common_prefix(joint, tail)])
    opening = _common_end(head, joint)
    if not close.strip() or not opening:
        return None
    arguments = TaggedArguments(
        opening,
        name_end,
        close,
        between=joint[len(close) : len(joint) - len(opening)],
        json_name_end=json_name_end if json_name_end != name_end else "",
    )
    last = text.find(close, end)
    syntax = _named_syntax(text, named, head[: len(head) - len(opening)], arguments)
    return _Body(_id_start(text, named), last + len(close), syntax) if last >= 0 else None


def _positions(text: str, start: int) -> tuple[int, int, int, int, int] | None:
    """Where the first key and value begin, the second ones, and where the last ends."""
    places = []
    for word in (_WORD_KEY, _WORD_VALUE, _NUMBER_KEY, _NUMBER_VALUE):
        at = text.find(word, start)
        if at < 0:
            return None
        places.append(at)
        start = at + len(word)
    key, value, next_key, next_value = places
    return key, value, next_key, next_value, start


# ----------------------------------------------------------------------------------------------------------- around calls
def _single(text: str, body: _Body) -> ToolSyntax | None:
    opening, closing = text[: body.start].lstrip(), text[body.end :]
    bracketed = isinstance(body.syntax, JsonCall) and opening.rstrip().endswith("[") and closing.lstrip().startswith("]")
    if bracketed:
        is_bare = opening.strip() == "["
        return ToolSyntax(body.syntax, opening.strip() if is_bare else opening, closing.rstrip(), ", ", at_start=is_bare)
    if not opening.strip():
        # Only the shape of an object shows that it is a call.
        is_json = isinstance(body.syntax, JsonCall) and not closing.strip()
        return ToolSyntax(body.syntax, at_start=True) if is_json else None
    close = closing if not closing.strip() or TAG.search(closing) else closing.strip()
    return ToolSyntax(replace(body.syntax, open=opening, close=close.rstrip()))


def _section(text: str, first: _Body, second: _Body) -> ToolSyntax | None:
    lead, joint, tail = text[: first.start].lstrip(), text[first.end : second.start], text[second.end :]
    close = _snapped_text(joint[: common_prefix(joint, tail)])
    close = close if close.strip() else ""
    opening = _common_end(lead, joint[len(close) :])
    between = joint[len(close) : len(joint) - len(opening)]
    section_open, section_close = lead[: len(lead) - len(opening)], _to_first_marker(tail[len(close) :])
    if not section_open.strip():
        section_close = ""
    syntax = first.syntax
    if section_open.strip() == "[" and not opening and section_close.strip() == "]":
        return ToolSyntax(replace(syntax, close=close), "[", "]", between, at_start=True)
    if not (section_open + opening).strip(" \n["):
        return None
    if isinstance(syntax, NamedCall) and syntax.numbered:
        prefix = TAG.split(opening)[-1]
        syntax = replace(syntax, id_prefix=prefix if prefix.endswith(".") else "")
    return ToolSyntax(replace(syntax, open=opening, close=close), section_open, section_close.rstrip(), between)


# ---------------------------------------------------------------------------------------------------------------- markers
def _snapped(text: str, at: int) -> int:
    """`at`, or where the marker begins that it would cut in two."""
    return next((found.start() for found in TAG.finditer(text) if found.start() < at < found.end()), at)


def _to_first_marker(text: str) -> str:
    """`text` up to the end of its first marker: what follows that belongs to the end of the turn."""
    found = TAG.search(text)
    return text[: found.end()] if found else text


def _snapped_text(text: str) -> str:
    """`text` less the beginning of a marker at its end."""
    opened = text.rfind("<")
    return text[:opened] if opened > text.rfind(">") else text


def _common_end(first: str, second: str) -> str:
    """With what both end, from the beginning of a marker on and less the blanks before it."""
    size = common_prefix(first[::-1], second[::-1])
    end = first[len(first) - size :] if size else ""
    closed = end.find(">")
    if closed >= 0 and (end.find("<") < 0 or closed < end.find("<")):
        # It began inside a marker.
        end = end[closed + 1 :]
    return end.lstrip()
