"""Conversations in the shapes that clients send, for tests on many templates."""

from __future__ import annotations

from app.domain.generation import ChatRequest, Tool
from app.domain.messages import ImagePart, Message, Role, TextPart, ToolCall
from tests.formats.talks import WEATHER, ask, called, result, said

__all__ = ["CLOCK", "CONVERSATIONS", "TOOL_CONVERSATIONS"]

CLOCK = Tool(
    "get_time",
    "Tells the time.",
    '{"type": "object", "properties": {"zone": {"type": "string", "description": "Where."}}, "required": ["zone"]}',
)

_TOOLS = (WEATHER, CLOCK)
_WEATHER_CALL = ToolCall("call00001", "get_weather", '{"city": "Rome"}')
_TIME_CALL = ToolCall("call00002", "get_time", '{"zone": "CET"}')

# What is said in them begins with Q, A, S, D or T, and no template contains it.
CONVERSATIONS: dict[str, ChatRequest] = {
    "question": ask("Qone?"),
    "system": ask(said(Role.SYSTEM, "Srules."), said(Role.USER, "Qone?")),
    "developer": ask(said(Role.DEVELOPER, "Drules."), said(Role.USER, "Qone?")),
    "system and developer": ask(said(Role.SYSTEM, "Srules."), said(Role.DEVELOPER, "Drules."), said(Role.USER, "Qone?")),
    "turns": ask("Qone?", "Aone.", "Qtwo?", "Atwo.", "Qthree?"),
    "system and turns": ask(
        said(Role.SYSTEM, "Srules."), said(Role.USER, "Qone?"), said(Role.ASSISTANT, "Aone."), said(Role.USER, "Qtwo?")
    ),
    "later system": ask("Qone?", "Aone.", said(Role.SYSTEM, "Srules."), said(Role.USER, "Qtwo?")),
    "two questions": ask(said(Role.USER, "Qone?"), said(Role.USER, "Qtwo?")),
    "name": ask(said(Role.USER, "Qone?", name="Nina")),
    "reasoning": ask("Qone?", said(Role.ASSISTANT, "Aone.", reasoning="Rwhy."), "Qtwo?"),
    "parts": ask(Message(Role.USER, (TextPart("Qone? "), ImagePart(b"1"), TextPart(" Qtwo?")))),
}

TOOL_CONVERSATIONS: dict[str, ChatRequest] = {
    "tools": ask("Qone?", tools=_TOOLS),
    "tools and system": ask(said(Role.SYSTEM, "Srules."), said(Role.USER, "Qone?"), tools=_TOOLS),
    "tools of few words": ask("Qone?", tools=(Tool("get_weather"), Tool("get_time", "", '{"properties": {"zone": {}}}'))),
    "call": ask("Qone?", called("get_weather", '{"city": "Rome"}'), result("Tsunny."), tools=_TOOLS),
    "call with words": ask(
        "Qone?",
        Message(Role.ASSISTANT, (TextPart("Aone."),), tool_calls=(_WEATHER_CALL,)),
        result("Tsunny."),
        said(Role.ASSISTANT, "Atwo."),
        said(Role.USER, "Qtwo?"),
        tools=_TOOLS,
    ),
    "parallel calls": ask(
        "Qone?",
        Message(Role.ASSISTANT, tool_calls=(_WEATHER_CALL, _TIME_CALL)),
        result("Tsunny."),
        result("Tnoon.", "call00002"),
        tools=_TOOLS,
    ),
    "reasoned call": ask(
        "Qone?",
        Message(Role.ASSISTANT, reasoning="Rwhy.", tool_calls=(_WEATHER_CALL,)),
        result("Tsunny."),
        tools=_TOOLS,
    ),
    "calls in a row": ask(
        "Qone?",
        Message(Role.ASSISTANT, tool_calls=(_WEATHER_CALL,)),
        result("Tsunny."),
        Message(Role.ASSISTANT, tool_calls=(_TIME_CALL,)),
        result("Tnoon.", "call00002"),
        said(Role.ASSISTANT, "Aone."),
        said(Role.USER, "Qtwo?"),
        tools=_TOOLS,
    ),
    "calls of tools no longer offered": ask(
        "Qone?", called("get_weather", '{"city": "Rome"}'), result("Tsunny."), said(Role.ASSISTANT, "Aone."), "Qtwo?"
    ),
    "result of no call": ask("Qone?", called("get_weather", '{"city": "Rome"}'), result("Tsunny.", "other0001"), tools=_TOOLS),
}
