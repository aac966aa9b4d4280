"""Whatever a template lacks, what was said comes out of it, whole and in its order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.domain.generation import ChatRequest
from app.domain.messages import AudioPart, ImagePart, Message, Role, TextPart
from app.domain.prompt import Picture, Sound
from tests.formats.conversations import CONVERSATIONS, TOOL_CONVERSATIONS
from tests.formats.real_templates import TEMPLATES, format_of
from tests.formats.talks import ask, text_of

# These models were taught without the words that stand beside a call.
LEAVES_OUT_WORDS_BESIDE_CALLS = {
    "Cohere2MoE",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "MiniMax-M1",
    "Mistral-Small-3.2-24B-Instruct-2506",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "meta-llama-Llama-3.1-8B-Instruct",
    "meta-llama-Llama-3.2-3B-Instruct",
    "meta-llama-Llama-3.3-70B-Instruct",
    "mistralai-Mistral-Nemo-Instruct-2407",
    "muse-glimmer",
    "openai-gpt-oss-120b",
    "upstage-Solar-Open-100B",
}
PUTS_ELSEWHERE = {
    # Rules stand in the last question.
    ("mistralai-Mistral-Nemo-Instruct-2407", "system and turns"),
    # Words follow the results of the calls beside which they were said.
    ("google-gemma-4-31B-it", "call with words"),
}
# They look for reasoning only where they are told to think.
SHOWS_REASONING_IF_TOLD = {
    "Apriel-1.6-15b-Thinker-fixed": "add_thoughts",
    "Reka-Edge": "enable_thinking",
    "deepseek-ai-DeepSeek-V3.2": "thinking",
    "deepseek-ai-DeepSeek-V4": "thinking",
    "deepseek-ai-DeepSeek-V4-Flash-0731": "thinking",
    "unsloth-Apriel-1.5": "add_thoughts",
}
_REASONING = re.compile(r"(\.|\[['\"]|get\(['\"])(reasoning_content|reasoning|thinking|thought)\b")
_WORDS = re.compile(r"\b[QASDT][a-z]+[?.]")

each_template = pytest.mark.parametrize("name", TEMPLATES)


def place_of_each_word(request: ChatRequest, name: str, prompt: str) -> list[int]:
    """Of all that was said and that the model was taught with."""
    silent = name in LEAVES_OUT_WORDS_BESIDE_CALLS
    turns = [turn for turn in request.messages if not (silent and turn.tool_calls)]
    return [prompt.find(word) for turn in turns for word in _WORDS.findall(turn.text)]


@each_template
@pytest.mark.parametrize("talk", [*CONVERSATIONS, *TOOL_CONVERSATIONS])
def test_what_was_said_is_in_the_prompt(llama_models: Path, name: str, talk: str) -> None:
    request = (CONVERSATIONS | TOOL_CONVERSATIONS)[talk]
    places = place_of_each_word(request, name, text_of(format_of(name, llama_models).prompt(request)))
    assert -1 not in places
    if (name, talk) not in PUTS_ELSEWHERE:
        assert places == sorted(places)


@each_template
@pytest.mark.parametrize("talk", TOOL_CONVERSATIONS)
def test_tools_and_calls_are_in_the_prompt(llama_models: Path, name: str, talk: str) -> None:
    request = TOOL_CONVERSATIONS[talk]
    prompt = text_of(format_of(name, llama_models).prompt(request))
    for tool in request.tools:
        assert tool.name in prompt
        assert tool.description in prompt
    for call in (call for turn in request.messages for call in turn.tool_calls):
        _, value = call.arguments.strip('{}"').split('": "')
        assert prompt.count(value) == 1
        # Text within text: arguments that should have been an object.
        assert f'\\"{value}' not in prompt


@each_template
def test_pictures_and_sounds_stand_among_the_words(llama_models: Path, name: str) -> None:
    parts = (ImagePart(b"1"), TextPart("What, "), ImagePart(b"2"), TextPart(" or "), AudioPart(b"3"), TextPart("?"))
    segments = format_of(name, llama_models).prompt(ask(Message(Role.USER, parts)))
    media = [segment for segment in segments if isinstance(segment, Picture | Sound)]
    assert media == [Picture(b"1"), Picture(b"2"), Sound(b"3")]
    assert "What," in text_of(segments)


@each_template
def test_reasoning_before_a_call_is_shown_where_the_template_asks_for_it(llama_models: Path, name: str) -> None:
    request = TOOL_CONVERSATIONS["reasoned call"]
    prompt = text_of(format_of(name, llama_models).prompt(request))
    source = (llama_models / "templates" / f"{name}.jinja").read_text("utf-8")
    asks = _REASONING.search(source) is not None or "tool_plan" in source
    assert ("Rwhy." in prompt) is (asks and name not in SHOWS_REASONING_IF_TOLD)
