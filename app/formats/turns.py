"""A request's messages as the turns that one template takes: what a careful person would write where it lacks something."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from app.domain.generation import AutoToolChoice, ChatRequest, Tool
from app.domain.messages import Message, Role, TextPart
from app.formats.call_writer import introduction
from app.formats.spec import ToolSyntax
from app.formats.traits import TemplateTraits

__all__ = ["begun_turn", "offered_tools", "turns_of"]

_RULES = (Role.SYSTEM, Role.DEVELOPER)
_BREAK = TextPart("\n\n")


def offered_tools(request: ChatRequest) -> tuple[Tool, ...]:
    """The tools the model is told of: with `tool_choice` none, none of them."""
    return () if request.tool_choice == AutoToolChoice.NONE else request.tools


def begun_turn(request: ChatRequest) -> Message | None:
    """The last message if that is an answer, or a thought, to go on with."""
    last = request.messages[-1] if request.messages else None
    if last is None or not request.continues or last.role is not Role.ASSISTANT or last.tool_calls:
        return None
    return last if last.text or last.reasoning else None


def turns_of(request: ChatRequest, traits: TemplateTraits, syntax: ToolSyntax | None) -> list[Message]:
    """`syntax` is how the model writes calls."""
    turns = _ruled(_introduced(_answerable(request), request, traits, syntax), traits)
    if traits.calls and not traits.several_calls:
        turns = _one_by_one(turns)
    if traits.calls and not traits.spoken_calls:
        turns = [turn for message in turns for turn in _unspoken(message)]
    if traits.alternates and traits.results:
        turns = [turn for before, turn in zip((None, *turns), turns, strict=False) for turn in _answered(before, turn)]
    return turns


def _answerable(request: ChatRequest) -> tuple[Message, ...]:
    """The messages, without a last answer that was not even begun."""
    *before, last = request.messages
    is_empty = not (last.text or last.images or last.sounds or last.reasoning or last.tool_calls)
    return tuple(before) if before and request.continues and last.role is Role.ASSISTANT and is_empty else request.messages


def _introduced(
    messages: tuple[Message, ...], request: ChatRequest, traits: TemplateTraits, syntax: ToolSyntax | None
) -> tuple[Message, ...]:
    """The messages with a word about the tools, where the template has none for them."""
    tools = offered_tools(request)
    if not tools or traits.tools or syntax is None:
        return messages
    rules = TextPart(introduction(tools, syntax))
    first, *rest = messages
    if first.role in _RULES:
        return (replace(first, parts=(*first.parts, _BREAK, rules)), *rest)
    return (Message(Role.SYSTEM, (rules,)), *messages)


def _ruled(messages: tuple[Message, ...], traits: TemplateTraits) -> list[Message]:
    """Rules stand where the template takes them: later ones become turns of the user, or all are part of the first question."""
    if traits.system and traits.late_system:
        return list(messages)
    leading = next((index for index, message in enumerate(messages) if message.role not in _RULES), len(messages))
    rules = _as_one(messages[:leading])
    rest = [replace(message, role=Role.USER) if message.role in _RULES else message for message in messages[leading:]]
    if rules is None or traits.system:
        return [rules, *rest] if rules else rest
    asked = next((index for index, message in enumerate(rest) if message.role is Role.USER), None)
    if asked is None:
        return [replace(rules, role=Role.USER), *rest]
    rest[asked] = replace(rest[asked], parts=(*rules.parts, _BREAK, *rest[asked].parts))
    return rest


def _as_one(messages: tuple[Message, ...]) -> Message | None:
    if not messages:
        return None
    parts = [part for message in messages for part in (_BREAK, *message.parts)]
    return replace(messages[0], parts=tuple(parts[1:]))


def _one_by_one(messages: list[Message]) -> list[Message]:
    """Calls of one turn in turns of their own, each followed by its result."""
    turns: list[Message] = []
    rest = deque(messages)
    while rest:
        message = rest.popleft()
        if len(message.tool_calls) < 2:
            turns.append(message)
            continue
        results: list[Message] = []
        while rest and rest[0].role is Role.TOOL:
            results.append(rest.popleft())
        for index, call in enumerate(message.tool_calls):
            turns.append(replace(message if index == 0 else Message(Role.ASSISTANT), tool_calls=(call,)))
            turns += [result for result in results if result.tool_call_id == call.id]
        known = {call.id for call in message.tool_calls}
        turns += [result for result in results if result.tool_call_id not in known]
    return turns


def _answered(before: Message | None, turn: Message) -> tuple[Message, ...]:
    """A blank answer before a question that follows a result: where turns alternate, the next question has to wait for one."""
    if turn.role is Role.USER and before is not None and before.role is Role.TOOL:
        return Message(Role.ASSISTANT, (TextPart(" "),)), turn
    return (turn,)


def _unspoken(message: Message) -> tuple[Message, ...]:
    """Words in a turn of their own before the calls."""
    if not message.parts or not message.tool_calls:
        return (message,)
    return replace(message, tool_calls=()), Message(Role.ASSISTANT, tool_calls=message.tool_calls)
