"""What shapes of conversation a template takes, found out by rendering small ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.domain.errors import InvalidRequest
from app.formats.sandbox import TemplateLimit
from app.formats.template import BrokenTemplate, ChatTemplate, reason_of

__all__ = ["FUNCTION", "NUMBERS", "QUESTION", "TOOL", "WORDS", "TemplateTraits", "probe", "tool_call_turn", "traits_of"]

# In this order, where a template looks for several.
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking", "thought")
# A template that knows only strings prints a list as Python or JSON would.
_PRINTED_PART = re.compile(r"""['"]text['"]""")
# Words that no template contains.
QUESTION = "Qzxq4"
SYSTEM = "Szxs4"
ANSWER = "Wzxw4"
FUNCTION = "Fzxf4"
RESULT = "Tzxt4"
WORDS: Mapping[str, Any] = {"azxa4": "Vzxv4"}
NUMBERS: Mapping[str, Any] = {"bzxb4": 7064}

USER: Mapping[str, Any] = {"role": "user", "content": QUESTION}
TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {
        "name": FUNCTION,
        "description": "d",
        "parameters": {
            "type": "object",
            "properties": {
                "azxa4": {"type": "string", "description": "d"},
                "bzxb4": {"type": "integer", "description": "d"},
            },
            "required": ["azxa4"],
        },
    },
}

BARE_TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {"name": FUNCTION, "description": "", "parameters": {"properties": {"azxa4": {}, "bzxb4": {"enum": [1]}}}},
}


@dataclass(frozen=True, slots=True)
class TemplateTraits:
    """What a template takes.

    `strings` and `parts`: content as one string, as a list of typed parts. `late_system`: system messages may stand anywhere,
    and behind one another. `alternates`: two turns of the user may not. `calls`: tool calls of earlier turns are rendered, with
    arguments as an object where `argument_objects` is set, else as JSON text. `results`: so are the results of calls.
    `several_calls`: a turn may have more than one call; `spoken_calls`: it may have words, too. `null_content`: an assistant
    turn of tool calls alone has `content: null`, else "". `bare_tools`: a tool's schema may lack what JSON Schema lets it lack.
    `empty_tools`: no tools are an empty list, not null. `reasoning_key`: under which key of a message the template looks for
    the reasoning of earlier turns; with `reasoning_parts`, it is a part of that type, under that key, in the content.
    """

    strings: bool = True
    parts: bool = False
    system: bool = True
    developer: bool = False
    late_system: bool = True
    alternates: bool = False
    tools: bool = False
    calls: bool = False
    results: bool = False
    argument_objects: bool = False
    several_calls: bool = True
    spoken_calls: bool = True
    null_content: bool = False
    bare_tools: bool = True
    empty_tools: bool = False
    reasoning_key: str = "reasoning_content"
    reasoning_parts: bool = False

    @property
    def no_tools(self) -> list[Any] | None:
        return [] if self.empty_tools else None

    def turn(self, role: str, words: str) -> dict[str, Any]:
        """A message of words alone in the shape that the template takes."""
        return {"role": role, "content": words if self.strings else [{"type": "text", "text": words}]}


def probe(template: ChatTemplate, messages: Sequence[Mapping[str, Any]], **options: Any) -> str | None:
    """The rendered text, or None where the template refuses."""
    try:
        return template.render(messages, **options)
    except InvalidRequest:
        return None


def tool_call_turn(count: int = 1, *, traits: TemplateTraits, arguments: Mapping[str, Any] = WORDS) -> dict[str, Any]:
    """An assistant turn of `count` calls in the shape that the template wants."""
    given: Any = dict(arguments) if traits.argument_objects else json.dumps(arguments)
    calls = [
        {"id": f"call0000{index}", "type": "function", "function": {"name": FUNCTION, "arguments": given}}
        for index in range(1, count + 1)
    ]
    return {"role": "assistant", "content": None if traits.null_content else "", "tool_calls": calls}


def traits_of(template: ChatTemplate) -> TemplateTraits:
    """Raises BrokenTemplate for a template that can't even render one question."""
    problem: InvalidRequest | None = None
    for empty_tools in (False, True):
        try:
            template.render([USER], tools=[] if empty_tools else None)
        except InvalidRequest as error:
            problem = problem or error
            if isinstance(error.__cause__, TemplateLimit):
                break
        if traits := _traits(template, empty_tools):
            return traits
    if problem and problem.__cause__:
        raise BrokenTemplate(reason_of(problem.__cause__)) from problem
    raise BrokenTemplate("it leaves out what the user says")


def _traits(template: ChatTemplate, empty_tools: bool) -> TemplateTraits | None:
    found = TemplateTraits(empty_tools=empty_tools, reasoning_key=_reasoning_key(template.source))

    def shows(words: str, *turns: Mapping[str, Any], tools: Any = found.no_tools) -> bool:
        return words in (probe(template, turns, tools=tools) or "")

    as_parts = probe(template, [replace(found, strings=False).turn("user", QUESTION)], tools=found.no_tools) or ""
    parts = QUESTION in as_parts and not _PRINTED_PART.search(as_parts)
    found = replace(found, strings=shows(QUESTION, USER), parts=parts)
    if not found.strings and not found.parts:
        return None
    user, answer, system = (found.turn(*turn) for turn in (("user", QUESTION), ("assistant", ANSWER), ("system", SYSTEM)))
    found = replace(
        found,
        system=shows(SYSTEM, system, user),
        developer="developer" in template.source and shows(SYSTEM, found.turn("developer", SYSTEM), user),
        alternates=shows(ANSWER, user, answer, user) and not shows(ANSWER, user, found.turn("user", ANSWER)),
        tools=shows(FUNCTION, user, tools=[TOOL]),
        reasoning_parts=_takes_thinking_parts(template, found),
    )
    found = _with_call_shape(template, replace(found, late_system=found.system and _takes_late_systems(template, found)))
    if not (found.tools or found.calls):
        # A template that writes any role may know nothing of this one.
        return found
    call = tool_call_turn(traits=found) if found.calls else answer
    given = {**found.turn("tool", RESULT), "tool_call_id": "call00001", "name": FUNCTION}
    found = replace(found, results=shows(RESULT, user, call, given, tools=[TOOL] if found.tools else found.no_tools))
    return _with_limits_of_calls(template, found) if found.calls else found


def _takes_thinking_parts(template: ChatTemplate, traits: TemplateTraits) -> bool:
    """Whether reasoning comes out as a part of the content, and not as the message's own."""
    user, answer, thought = traits.turn("user", QUESTION), traits.turn("assistant", ANSWER), {traits.reasoning_key: RESULT}
    as_part = {**answer, "content": [{"type": traits.reasoning_key, **thought}, {"type": "text", "text": ANSWER}]}
    with_part, with_key = (
        probe(template, [user, turn], tools=traits.no_tools) or "" for turn in (as_part, {**answer, **thought})
    )
    return RESULT not in with_key and RESULT in with_part and ANSWER in with_part and not _PRINTED_PART.search(with_part)


def _takes_late_systems(template: ChatTemplate, traits: TemplateTraits) -> bool:
    """Whether system messages come out, and in their places, behind one another and behind an answer."""
    user, answer = traits.turn("user", QUESTION), traits.turn("assistant", ANSWER)
    first, second = traits.turn("system", SYSTEM), traits.turn("system", RESULT)
    for turns in ([first, second, user], [first, user, answer, second, user]):
        text = probe(template, turns, tools=traits.no_tools) or ""
        places = [text.find(word) for word in (SYSTEM, *((ANSWER,) if answer in turns else ()), RESULT)]
        if -1 in places or places != sorted(places):
            return False
    return True


def _with_limits_of_calls(template: ChatTemplate, traits: TemplateTraits) -> TemplateTraits:
    """What the template refuses, or leaves out, of calls that it renders."""

    def called(turn: Mapping[str, Any], tool: Mapping[str, Any], times: int = 1) -> bool:
        turns, tools = [traits.turn("user", QUESTION), turn], [tool] if traits.tools else traits.no_tools
        text = probe(template, turns, tools=tools, add_generation_prompt=False) or ""
        return text.count("Vzxv4", text.rfind(QUESTION)) >= times

    one, two = (tool_call_turn(count, traits=traits) for count in (1, 2))
    return replace(
        traits,
        several_calls=called(two, TOOL, 2),
        spoken_calls=called({**one, "content": traits.turn("assistant", ANSWER)["content"]}, TOOL),
        bare_tools=called(one, BARE_TOOL),
    )


def _reasoning_key(source: str) -> str:
    asked = (key for key in _REASONING_KEYS if re.search(rf"""(\.|\[['"]|get\(['"]){key}\b""", source))
    return next(asked, _REASONING_KEYS[0])


def _with_call_shape(template: ChatTemplate, traits: TemplateTraits) -> TemplateTraits:
    """The shape of tool calls that puts name and arguments into the text as they are.

    Arguments as the text the model wrote are preferred: what was generated is then repeated to the letter, so that the next
    turn's prompt shares its beginning.
    """
    as_text, as_object = (
        [_shape(template, traits, objects=objects, null=null) for null in (False, True)] for objects in (False, True)
    )
    texts = [shape for shape, written in as_text if shape and written]
    objects = [(shape, written) for shape, written in as_object if shape]
    # What is no JSON in the text was made from the object: the same as text would be put there in quotes or braces.
    if texts and (not objects or any(written for _, written in objects)):
        return texts[0]
    usable = [shape for shape, _ in objects] + [shape for shape, _ in as_text if shape]
    return usable[0] if usable else traits


def _shape(template: ChatTemplate, traits: TemplateTraits, *, objects: bool, null: bool) -> tuple[TemplateTraits | None, bool]:
    """These traits, if calls come out in them, and whether their arguments come out as JSON."""
    shape = replace(traits, calls=True, argument_objects=objects, null_content=null)
    user = traits.turn("user", QUESTION)
    text = probe(template, [user, tool_call_turn(traits=shape)], tools=[TOOL], add_generation_prompt=False) or ""
    turn = text[text.rfind(QUESTION) :]
    if json.dumps(WORDS) in turn and FUNCTION in turn:
        return shape, True
    shown = all(word in turn for word in (FUNCTION, *WORDS, *WORDS.values())) and "\\" not in turn
    return (shape if shown else None), False
