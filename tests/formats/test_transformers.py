"""What clients send becomes, to the letter, the text that Hugging Face's renderer makes of it, wherever a template takes it."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError
from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template

from app.domain.generation import ChatRequest
from app.domain.messages import Role
from app.formats.chat_format import ChatFormat
from app.formats.traits import TemplateTraits
from app.formats.turns import turns_of
from tests.formats.conversations import CONVERSATIONS, TOOL_CONVERSATIONS
from tests.formats.real_templates import TEMPLATES, format_of, template_of, traits_for
from tests.formats.talks import ask, text_of

TALKS = {name: talk for name, talk in (CONVERSATIONS | TOOL_CONVERSATIONS).items() if name != "parts"}
# What transformers can't render: lists that grow, a variable of the template's own, a generator written as JSON.
NOT_WITH_CALLS = {"Kimi-K2-Instruct", "Kimi-K2-Thinking"}
NOT_WITH_TOOLS = {"llama-cpp-deepseek-r1"}
NEVER = {"fireworks-ai-llama-3-firefunction-v2"}

each_template = pytest.mark.parametrize("name", TEMPLATES)


compiled = cache(_compile_jinja_template)


def transformers_text(source: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str | None:
    """None where the renderer can't."""
    moment = datetime.now().astimezone()
    try:
        return str(
            compiled(source).render(
                messages=messages,
                tools=tools,
                add_generation_prompt=True,
                bos_token="<BOS>",
                eos_token="<EOS>",
                strftime_now=moment.strftime,
            )
        )
    except (TemplateError, TypeError):
        return None


def expects_text(name: str, request: ChatRequest) -> bool:
    calls = any(message.tool_calls for message in request.messages)
    return not (name in NEVER or (name in NOT_WITH_CALLS and calls) or (name in NOT_WITH_TOOLS and request.tools))


def takes_as_it_is(traits: TemplateTraits, request: ChatRequest, chat_format: ChatFormat) -> bool:
    """Whether nothing stands in for what the template lacks."""
    roles = {message.role for message in request.messages}
    follows = any(first.role is second.role is Role.USER for first, second in pairwise(request.messages))
    calls = any(message.tool_calls for message in request.messages)
    return (
        turns_of(request, traits, chat_format.spec.tools) == list(request.messages)
        and (traits.developer or Role.DEVELOPER not in roles)
        and (traits.results or Role.TOOL not in roles)
        and (traits.bare_tools or not request.tools)
        and not (traits.alternates and follows)
        and not (calls and not traits.calls)
    )


def openai_shape(request: ChatRequest, traits: TemplateTraits) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    """As a client writes it, but for the spots where templates differ: arguments, content beside calls, reasoning."""
    messages = []
    for message in request.messages:
        block: dict[str, Any] = {"role": message.role.value, "content": message.text}
        if message.tool_calls:
            block["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": call.name,
                        "arguments": json.loads(call.arguments) if traits.argument_objects else call.arguments,
                    },
                }
                for call in message.tool_calls
            ]
            block["content"] = message.text or (None if traits.null_content else "")
        if message.name:
            block["name"] = message.name
        if message.role is Role.TOOL:
            block["tool_call_id"] = message.tool_call_id
            block["name"] = "get_time" if message.tool_call_id == "call00002" else "get_weather"
        if message.reasoning and traits.reasoning_parts:
            block["content"] = [
                {"type": "thinking", "thinking": message.reasoning},
                *([{"type": "text", "text": message.text}] if message.text else []),
            ]
        elif message.reasoning:
            block[traits.reasoning_key] = message.reasoning
        messages.append(block)
    tools: list[dict[str, Any]] = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": json.loads(tool.parameters)},
        }
        for tool in request.tools
    ]
    return messages, tools or traits.no_tools


@each_template
def test_messages_in_openais_shape_become_the_same_text(llama_models: Path, name: str) -> None:
    """Wherever the template takes them as they are."""
    chat_format, source = format_of(name, llama_models), template_of(name, llama_models).source
    traits = traits_for(name, llama_models)
    for talk, request in TALKS.items():
        if takes_as_it_is(traits, request, chat_format):
            theirs = transformers_text(source, *openai_shape(request, traits))
            assert (theirs is not None) is expects_text(name, request), talk
            assert theirs in (text_of(chat_format.prompt(request)), None), talk


@each_template
def test_a_begun_answer_is_cut_as_transformers_cuts_it(llama_models: Path, name: str) -> None:
    if name in NEVER:
        return
    request, traits = ask("Qone?", "Aone.", "Qtwo?", "The answer is"), traits_for(name, llama_models)
    (theirs,), _ = render_jinja_template(
        [[traits.turn(message.role.value, message.text) for message in request.messages]],
        tools=traits.no_tools,
        chat_template=template_of(name, llama_models).source,
        continue_final_message=True,
        bos_token="<BOS>",
        eos_token="<EOS>",
    )
    assert text_of(format_of(name, llama_models).prompt(request)) == theirs
