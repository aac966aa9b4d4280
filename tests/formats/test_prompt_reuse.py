"""The prompt of a turn begins with that of the turn before, so that what was computed for it can be used again."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.messages import Message, Role
from app.formats.call_writer import write_calls
from app.formats.marks import common_prefix
from tests.formats.conversations import CLOCK
from tests.formats.real_templates import TEMPLATES, format_of
from tests.formats.talks import WEATHER, ask, called, result, said, text_of

ASKED = (said(Role.SYSTEM, "Srules."), said(Role.USER, "Qone?"))
CALLED = called("get_weather", '{"city": "Rome"}')
GIVEN = (*ASKED, CALLED, result("Tsunny."))
CALLED_AGAIN = called("get_time", '{"zone": "CET"}', "call00002")
SAID_AND_ASKED = (said(Role.ASSISTANT, "Aone."), said(Role.USER, "Qtwo?"))

# Before, the answer, and what there is at the next turn.
TURNS: dict[str, tuple[tuple[Message, ...], Message, tuple[Message, ...]]] = {
    "words": (ASKED, SAID_AND_ASKED[0], (*ASKED, *SAID_AND_ASKED)),
    "call": (ASKED, CALLED, GIVEN),
    "call after result": (GIVEN, CALLED_AGAIN, (*GIVEN, CALLED_AGAIN, result("Tnoon.", "call00002"))),
    "words after result": (GIVEN, SAID_AND_ASKED[0], (*GIVEN, *SAID_AND_ASKED)),
}
# Everything, the answer included, is there again at every turn.
KEEPS_ALL = (
    "GigaChat3-10B-A1.8B",
    "LFM2-8B-A1B",
    "LFM2.5-8B-A1B",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen-Qwen3-0.6B",
    "Qwen3-Coder",
    "deepseek-ai-DeepSeek-V3.1",
    "ibm-granite-granite-3.3-2B-Instruct",
    "ibm-granite-granite-4.0",
    "meta-llama-Llama-3.1-8B-Instruct",
    "meta-llama-Llama-3.2-3B-Instruct",
    "meta-llama-Llama-3.3-70B-Instruct",
    "moonshotai-Kimi-K2",
    "unsloth-mistral-Devstral-Small-2507",
)
# These models were taught with the tools before the last question, wherever that is.
MOVES_TOOLS = {"Mistral-Small-3.2-24B-Instruct-2506", "mistralai-Mistral-Nemo-Instruct-2407"}


def begins_and_next(name: str, turn: str, llama_models: Path) -> tuple[str, str, str]:
    """A prompt, the answer as the model writes it, and the prompt of the next turn."""
    chat_format, (before, answer, after) = format_of(name, llama_models), TURNS[turn]
    first, second = (text_of(chat_format.prompt(ask(*messages, tools=(WEATHER, CLOCK)))) for messages in (before, after))
    syntax = chat_format.spec.tools
    return first, write_calls(syntax, answer.tool_calls).strip() if syntax and answer.tool_calls else answer.text, second


@pytest.mark.parametrize("name", KEEPS_ALL)
@pytest.mark.parametrize("turn", TURNS)
def test_a_prompt_goes_on_where_the_answer_ended(llama_models: Path, name: str, turn: str) -> None:
    before, answer, after = begins_and_next(name, turn, llama_models)
    assert after.startswith(before + answer)


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name not in MOVES_TOOLS])
@pytest.mark.parametrize("turn", TURNS)
def test_a_prompt_is_the_same_up_to_the_last_question(llama_models: Path, name: str, turn: str) -> None:
    """What templates change behind it: thoughts that are over, and the words with which they ask for an answer."""
    before, _, after = begins_and_next(name, turn, llama_models)
    assert common_prefix(before, after) >= before.index("Qone?") + len("Qone?")
