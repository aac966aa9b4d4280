"""Reading a model's answer format off its chat template, by rendering it with and without what is looked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.formats.marks import common_prefix
from app.formats.spec import TAG, FormatSpec, ReasoningSyntax, ToolSyntax
from app.formats.template import ChatTemplate
from app.formats.traits import ARGUMENTS, FUNCTION, QUESTION, TOOL, TemplateTraits, probe, tool_call_turn

__all__ = ["derive_spec"]

_ANSWER = "Wzxw4"
_THOUGHT = "Rzxr4"
_KNOWN_REASONING = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("<reasoning>", "</reasoning>"),
)


def derive_spec(template: ChatTemplate, traits: TemplateTraits) -> FormatSpec:
    return FormatSpec(reasoning=_reasoning(template, traits), tools=_tools(template, traits))


# ------------------------------------------------------------------------------------------------------------- reasoning
def _reasoning(template: ChatTemplate, traits: TemplateTraits) -> ReasoningSyntax | None:
    return _rendered_reasoning(template, traits) or _mentioned_reasoning(template)


def _rendered_reasoning(template: ChatTemplate, traits: TemplateTraits) -> ReasoningSyntax | None:
    """The markers around `reasoning_content`, where the template renders it."""
    user, answer = traits.turn("user", QUESTION), traits.turn("assistant", _ANSWER)
    text = probe(
        template, [user, {**answer, "reasoning_content": _THOUGHT}], tools=traits.no_tools, add_generation_prompt=False
    )
    if not text or _THOUGHT not in text or _ANSWER not in text[text.find(_THOUGHT) :]:
        return None
    before, after = text.split(_THOUGHT, 1)
    opens, closes = TAG.findall(before[before.rfind(QUESTION) :]), TAG.findall(after[: after.find(_ANSWER)])
    if not opens or not closes or not before.rstrip().endswith(opens[-1]) or not after.lstrip().startswith(closes[0]):
        return None
    return ReasoningSyntax(opens[-1], closes[0]) if _is_pair(opens[-1], closes[0]) else None


def _mentioned_reasoning(template: ChatTemplate) -> ReasoningSyntax | None:
    """Well-known markers that the template handles in earlier answers, or asks for."""
    for opening, closing in _KNOWN_REASONING:
        if closing in template.source:
            return ReasoningSyntax(opening, closing)
    return None


def _is_pair(opening: str, closing: str) -> bool:
    """A channel that opens another channel instead of closing is a different family."""
    return closing == f"{opening[0]}/{opening[1:]}" or ("begin" in opening and closing == opening.replace("begin", "end"))


# ----------------------------------------------------------------------------------------------------------------- tools
@dataclass(frozen=True, slots=True)
class _Found:
    """A JSON object in a text."""

    start: int
    end: int
    value: Mapping[str, Any]


def _tools(template: ChatTemplate, traits: TemplateTraits) -> ToolSyntax | None:
    if not (traits.tools and traits.calls):
        return None
    one, two = (_call_text(template, traits, count) for count in (1, 2))
    if one is None or (first := _call_object(one, 0)) is None:
        return None
    keys = _keys(first.value)
    if keys is None:
        return None
    before, after = one[: first.start], _without_turn_end(template, traits, one[first.end :])
    listed = before.rstrip().endswith("[") and after.lstrip().startswith("]")
    if listed:
        before, after = before.rstrip()[:-1], after.lstrip()[1:]
    opening, closing = _from_first_marker(before.strip()), _first_marker(after.strip())
    if not opening:
        # A bare JSON object can't be told from JSON that was asked for.
        return None
    return ToolSyntax(
        open=opening,
        close=closing,
        name_key=keys[0],
        arguments_key=keys[1],
        id_key=keys[2],
        listed=listed,
        lead=before[len(before.rstrip()) :],
        trail=after[: len(after) - len(after.lstrip())] if closing else "",
        between=_between(two, first, opening, closing),
    )


def _call_text(template: ChatTemplate, traits: TemplateTraits, count: int) -> str | None:
    """An assistant turn of `count` calls, from where it differs from a turn of words."""
    user, answer = traits.turn("user", QUESTION), traits.turn("assistant", _ANSWER)
    words = probe(template, [user, answer], tools=[TOOL], add_generation_prompt=False)
    calls = probe(template, [user, tool_call_turn(count, traits=traits)], tools=[TOOL], add_generation_prompt=False)
    if words is None or calls is None:
        return None
    added = calls[common_prefix(calls, words) :]
    return added if FUNCTION in added else None


def _call_object(text: str, start: int) -> _Found | None:
    """The outermost JSON object that holds the function's name."""
    named = text.find(FUNCTION, start)
    decoder = json.JSONDecoder()
    at = text.find("{", start)
    while 0 <= at < named:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = 0
        if end > named and isinstance(value, dict):
            return _Found(at, end, value)
        at = text.find("{", at + 1)
    return None


def _keys(value: Mapping[str, Any]) -> tuple[str, str, str | None] | None:
    """The keys of name, arguments and id."""
    name = next((key for key, item in value.items() if item == FUNCTION), None)
    arguments = next((key for key, item in value.items() if item == ARGUMENTS), None)
    call_id = next((key for key, item in value.items() if isinstance(item, str) and item.startswith("call0000")), None)
    return (name, arguments, call_id) if name and arguments else None


def _without_turn_end(template: ChatTemplate, traits: TemplateTraits, after: str) -> str:
    """`after` less what ends any answer."""
    user, answer = traits.turn("user", QUESTION), traits.turn("assistant", _ANSWER)
    text = probe(template, [user, answer], tools=[TOOL], add_generation_prompt=False) or ""
    turn_end = text[text.rfind(_ANSWER) + len(_ANSWER) :] if _ANSWER in text else ""
    for end in (turn_end, turn_end.strip(), template.eos_text):
        if end and after.rstrip().endswith(end.rstrip()):
            return after.rstrip()[: -len(end.rstrip())] if end.rstrip() else after
    return after


def _from_first_marker(text: str) -> str:
    """The difference to a turn of words can begin inside a marker; what is left of that one is no part of a call."""
    found = TAG.search(text)
    return text[found.start() :] if found else ""


def _first_marker(text: str) -> str:
    """What follows the marker that closes a call belongs to the next turn."""
    found = TAG.match(text)
    return found.group() if found else text


def _between(two: str | None, first: _Found, opening: str, closing: str) -> str:
    """What stands between one call's closing marker and the next one's opening marker."""
    second = _call_object(two, two.find(FUNCTION, first.start) + len(FUNCTION)) if two else None
    if two is None or second is None:
        return ""
    middle = two[first.end : second.start]
    _, closed, rest = middle.partition(closing) if closing else ("", "", middle)
    between, opened, _ = rest.partition(opening)
    return between if opened and (closed or not closing) else ""
