"""Every chat template that llama.cpp collects renders conversations of every kind, as Hugging Face's own renderer does."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest
from transformers.utils import chat_template_utils

from app.domain.generation import ChatRequest, Tool
from app.domain.messages import ImagePart, Message, Role, TextPart, ToolCall
from app.domain.prompt import Picture
from app.formats.conversation import Conversation
from tests.formats.plain_wording import PlainWording
from tests.formats.real_templates import TEMPLATES, format_of, template_of, traits_for
from tests.formats.talks import ask, control, said, text_of

FIND = Tool(
    "find",
    "Finds things.",
    json.dumps(
        {
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "What to look for."},
                "count": {"type": "integer", "description": "How many."},
            },
            "required": ["text"],
        }
    ),
)


def calls(*ids: str, reasoning: str = "") -> Message:
    made = tuple(ToolCall(call_id, "find", '{"count": 2, "text": "red shoes"}') for call_id in ids)
    return Message(Role.ASSISTANT, reasoning=reasoning, tool_calls=made)


def found(text: str, call_id: str) -> Message:
    return Message(Role.TOOL, (TextPart(text),), tool_call_id=call_id)


CONVERSATIONS: dict[str, ChatRequest] = {
    "question": ask("What is red?"),
    "system": ask(said(Role.SYSTEM, "Be brief."), said(Role.USER, "What is red?")),
    "developer": ask(said(Role.DEVELOPER, "Be brief."), said(Role.USER, "What is red?")),
    "turns": ask("What is red?", "A colour.", "And blue?", "Another.", "And green?"),
    "reasoning": ask(
        said(Role.USER, "What is red?"),
        said(Role.ASSISTANT, "A colour.", reasoning="Roses come to mind."),
        said(Role.USER, "Blue?"),
    ),
    "tools": ask(said(Role.SYSTEM, "Be brief."), said(Role.USER, "Find shoes."), tools=(FIND,)),
    "call": ask(
        said(Role.USER, "Find shoes."),
        calls("abcdefgh1"),
        found('{"found": 3}', "abcdefgh1"),
        said(Role.USER, "More."),
        tools=(FIND,),
    ),
    "two calls": ask(
        said(Role.USER, "Find shoes."),
        calls("abcdefgh1", "abcdefgh2", reasoning="Two searches."),
        found("three", "abcdefgh1"),
        found("four", "abcdefgh2"),
        tools=(FIND,),
    ),
    "answered": ask(
        said(Role.USER, "Find shoes."),
        calls("abcdefgh1"),
        found("three", "abcdefgh1"),
        said(Role.ASSISTANT, "There are three."),
        said(Role.USER, "Thanks."),
        tools=(FIND,),
    ),
}


@pytest.mark.parametrize("kind", CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_real_templates_render(name: str, kind: str, llama_models: Path) -> None:
    request = CONVERSATIONS[kind]
    assert format_of(name, llama_models).problem is None
    segments = format_of(name, llama_models).prompt(request)
    text = text_of(segments)
    for message in request.messages:
        assert message.text in text or (message.role is Role.TOOL and json.dumps(message.text)[1:-1] in text)
    assert "red shoes" in text or not any(message.tool_calls for message in request.messages)
    assert "Finds things." in text or not request.tools
    assert not any(message.text and message.text in control(segments) for message in request.messages)


@pytest.mark.parametrize("name", TEMPLATES)
def test_pictures_stand_where_they_were_put(name: str, llama_models: Path) -> None:
    before, behind = TextPart("Look at this: "), TextPart(" What is it?")
    request = ask(Message(Role.USER, (before, ImagePart(b"1"), behind, ImagePart(b"2"))))
    segments = format_of(name, llama_models).prompt(request)
    assert [segment.data for segment in segments if isinstance(segment, Picture)] == [b"1", b"2"]
    first = next(index for index, segment in enumerate(segments) if isinstance(segment, Picture))
    assert "Look at this:" in text_of(segments[:first])
    assert "What is it?" in text_of(segments[first:])


@pytest.mark.parametrize("kind", CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_text_is_that_of_hugging_face_s_renderer(name: str, kind: str, llama_models: Path) -> None:
    template, traits = template_of(name, llama_models), traits_for(name, llama_models)
    conversation = Conversation.of(CONVERSATIONS[kind], traits, PlainWording(), format_of(name, llama_models).spec.tools)
    now = datetime.now().astimezone()
    variables: dict[str, Any] = {
        "messages": conversation.messages,
        "tools": conversation.tools,
        "bos_token": "<BOS>",
        "eos_token": "<EOS>",
        "add_generation_prompt": True,
        **template.names_of_its_own(conversation.tools, now),
    }
    try:
        theirs = chat_template_utils._compile_jinja_template(template.source).render(**variables)
    except (jinja2.TemplateError, TypeError) as error:
        pytest.skip(f"Hugging Face's renderer can't: {error}")
    assert template.render(conversation.messages, tools=conversation.tools, now=now) == theirs


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_is_the_same_a_moment_later(name: str, llama_models: Path) -> None:
    """Whatever date a template writes, prompts of one day begin alike, or none could be used again."""
    template, traits = template_of(name, llama_models), traits_for(name, llama_models)
    conversation = Conversation.of(CONVERSATIONS["tools"], traits, PlainWording(), format_of(name, llama_models).spec.tools)
    moments = [datetime(2026, 3, 4, hour, 6, hour, tzinfo=datetime.now().astimezone().tzinfo) for hour in (9, 17)]
    first, second = (template.render(conversation.messages, tools=conversation.tools, now=now) for now in moments)
    assert first == second
