"""Every chat template that llama.cpp collects renders conversations of every kind, as Hugging Face's own renderer does."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pytest
from transformers.utils import chat_template_utils

from app.domain.errors import InvalidRequest
from app.domain.generation import ChatRequest, Tool
from app.domain.messages import ImagePart, Message, Role, TextPart, ToolCall
from app.domain.prompt import ControlText, Picture
from app.formats.chat_format import ChatFormat
from app.formats.conversation import Conversation
from app.formats.template import ChatTemplate
from app.formats.traits import TemplateTraits, traits_of
from tests.formats.real_templates import TEMPLATES, template_of
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
# What a template has good reasons to refuse, in its own words.
REFUSED = {
    **{(f"meta-llama-Llama-3.{name}-Instruct", "two calls"): "single tool-calls" for name in ("1-8B", "2-3B", "3-70B")},
    # An answer has to follow a result, before the next question.
    **{
        (name, "call"): "alternate"
        for name in (
            "Mistral-Small-3.2-24B-Instruct-2506",
            "mistralai-Ministral-3-14B-Reasoning-2512",
            "mistralai-Mistral-Nemo-Instruct-2407",
        )
    },
}
# These move the tools to the last question, so that nothing behind the system message stays where it was.
MOVE_THE_TOOLS = ("Mistral-Small-3.2-24B-Instruct-2506", "mistralai-Mistral-Nemo-Instruct-2407")


@cache
def known(name: str, folder: Path) -> tuple[ChatTemplate, TemplateTraits]:
    template = template_of(name, folder)
    return template, traits_of(template)


@cache
def format_of(name: str, folder: Path) -> ChatFormat:
    found = ChatFormat.of(template_of(name, folder).source, bos_text="<BOS>", eos_text="<EOS>")
    assert found.problem is None
    return found


@pytest.mark.parametrize("kind", CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_real_templates_render(name: str, kind: str, llama_models: Path) -> None:
    request = CONVERSATIONS[kind]
    if refusal := REFUSED.get((name, kind)):
        with pytest.raises(InvalidRequest, match=refusal):
            format_of(name, llama_models).prompt(request)
        return
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


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_that_was_begun_ends_the_prompt(name: str, llama_models: Path) -> None:
    segments = format_of(name, llama_models).prompt(ask("What is red?", "Red is"))
    assert text_of(segments).endswith("Red is")


class Plain:
    """A conversation's words as they are."""

    def content(self, text: str) -> str:
        return text

    value = content

    def picture(self, index: int) -> str:
        return f"<picture {index}>"


@pytest.mark.parametrize("kind", CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_text_is_that_of_hugging_face_s_renderer(name: str, kind: str, llama_models: Path) -> None:
    template, traits = known(name, llama_models)
    if (name, kind) in REFUSED:
        pytest.skip("the template refuses it")
    conversation = Conversation.of(CONVERSATIONS[kind], traits, Plain(), format_of(name, llama_models).spec.tools)
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
    template, traits = known(name, llama_models)
    conversation = Conversation.of(CONVERSATIONS["tools"], traits, Plain(), format_of(name, llama_models).spec.tools)
    moments = [datetime(2026, 3, 4, hour, 6, hour, tzinfo=datetime.now().astimezone().tzinfo) for hour in (9, 17)]
    first, second = (template.render(conversation.messages, tools=conversation.tools, now=now) for now in moments)
    assert first == second


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_next_turn_s_prompt_begins_as_this_one_s(name: str, llama_models: Path) -> None:
    """Up to the last question at least: what was computed for it need not be computed again."""
    chat_format = format_of(name, llama_models)
    asked = [said(Role.SYSTEM, "Be brief."), said(Role.USER, "Find shoes.")]
    begun = text_of(chat_format.prompt(ask(*asked, tools=(FIND,))))
    later = text_of(
        chat_format.prompt(ask(*asked, said(Role.ASSISTANT, "Which ones?"), said(Role.USER, "Red ones."), tools=(FIND,)))
    )
    shared = begun[: begun.rindex("Find shoes.") + len("Find shoes.")]
    if name in MOVE_THE_TOOLS:
        shared = shared[: shared.index("[AVAILABLE_TOOLS]")]
    assert later.startswith(shared)
    assert not any(
        isinstance(segment, ControlText) and "Find shoes." in segment.text for segment in chat_format.prompt(ask(*asked))
    )
