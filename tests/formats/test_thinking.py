from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.domain.generation import Effort, JsonObjectFormat, ReasoningChoice
from app.domain.messages import Role
from app.domain.prompt import ReasoningLimit
from app.formats.chat_format import ChatFormat
from app.formats.derive import derive_spec
from app.formats.thinking import ReasoningControl, Thinking
from app.formats.traits import traits_of
from tests.formats.real_templates import TEMPLATES, template_of
from tests.formats.talks import WEATHER, Answer, ask, called, pieces, result, said, text_of
from tests.formats.test_constraint import takes

# "+": the prompt opens the reasoning; "?": the model may; "-": neither. By itself, switched on, switched off. Then what the
# template is given to think not at all and as much as it can, and what closes a thought.
REAL: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "Apertus-8B-Instruct": ("-?-", {"enable_thinking": False}, {"enable_thinking": True}, "\n<|inner_suffix|>\n\n"),
    "Apriel-1.6-15b-Thinker-fixed": ("+++", {}, {}, "\n[BEGIN FINAL RESPONSE]\n"),
    "Bielik-11B-v3.0-Instruct": ("-+-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>\n"),
    "ByteDance-Seed-OSS": ("??-", {"thinking_budget": 0}, {}, "</seed:think>\n"),
    "Cohere2MoE": ("++-", {"reasoning_effort": "none"}, {"reasoning_effort": "max"}, "<|END_THINKING|>"),
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": (
        "-?-",
        {"enable_thinking": False},
        {"enable_thinking": True},
        "<|END_THINKING|>",
    ),
    "GLM-4.6": ("??-", {"enable_thinking": False}, {"enable_thinking": True}, "</think>\n"),
    "GLM-4.7-Flash": ("++-", {"enable_thinking": False}, {"enable_thinking": True}, "</think>"),
    "HuggingFaceTB-SmolLM3-3B": ("??-", {"enable_thinking": False}, {"enable_thinking": True}, "\n\n</think>\n"),
    "Kimi-K2-Thinking": ("???", {}, {}, "\n</think>\n\n"),
    "Kimi-K3": ("++-", {"thinking": False}, {"thinking": True, "thinking_effort": "max"}, "<|close|>think<|sep|>"),
    "LFM2.5-8B-A1B": ("???", {}, {}, "</think>"),
    "LFM2.5-Instruct": ("???", {}, {}, "\n</think>\n\n"),
    "MiniMax-M2": ("+++", {}, {}, "\n</think>\n\n"),
    "MiniMax-M3": ("?+-", {"thinking_mode": "disabled"}, {"thinking_mode": "enabled"}, "</mm:think>"),
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": ("++-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>\n"),
    "NVIDIA-Nemotron-Nano-v2": ("+++", {}, {}, "\n</think>\n\n"),
    "Qwen-QwQ-32B": ("-+-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>"),
    "Qwen-Qwen3-0.6B": ("??-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>\n\n"),
    "Qwen3.5-4B": ("++-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>\n\n"),
    "Reka-Edge": ("-+-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>\n\n"),
    "Spark2.5": ("++-", {"enable_thinking": False}, {"enable_thinking": True}, "</think>"),
    "StepFun3.5-Flash": ("+++", {}, {}, "\n</think>\n"),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": ("+++", {}, {}, "\n</think>\n\n"),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": ("-+-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>"),
    "deepseek-ai-DeepSeek-V3.1": (
        "-+-",
        {"enable_thinking": False, "thinking": False},
        {"enable_thinking": True, "thinking": True},
        "</think>",
    ),
    "deepseek-ai-DeepSeek-V3.2": (
        "-+-",
        {"enable_thinking": False, "thinking": False},
        {"enable_thinking": True, "thinking": True},
        "</think>",
    ),
    "deepseek-ai-DeepSeek-V4": (
        "-+-",
        {"enable_thinking": False, "thinking": False},
        {"enable_thinking": True, "thinking": True, "reasoning_effort": "max"},
        "\n</think>\n\n",
    ),
    "deepseek-ai-DeepSeek-V4-Flash-0731": (
        "-+-",
        {"enable_thinking": False, "thinking": False},
        {"enable_thinking": True, "thinking": True, "reasoning_effort": "max"},
        "\n</think>\n\n",
    ),
    "google-gemma-4-31B-it": ("-?-", {"enable_thinking": False}, {"enable_thinking": True}, "\n<channel|>"),
    "google-gemma-4-31B-it-interleaved": ("-?-", {"enable_thinking": False}, {"enable_thinking": True}, "\n<channel|>"),
    "ibm-granite-granite-3.3-2B-Instruct": ("-?-", {"thinking": False}, {"thinking": True}, "\n</think>\n\n"),
    "inclusionai-ling-3.0-flash": ("++-", {"enable_thinking": False}, {"enable_thinking": True}, "</think>"),
    "llama-cpp-deepseek-r1": ("+++", {}, {}, "\n</think>\n\n"),
    "llama-cpp-rwkv-world": ("?+-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>"),
    "mistralai-Ministral-3-14B-Reasoning-2512": ("???", {}, {}, "\n[/THINK]\n\n"),
    "muse-glimmer": ("???", {"reasoning_strength": "low"}, {"reasoning_strength": "high"}, ""),
    "openai-gpt-oss-120b": ("???", {"reasoning_effort": "low"}, {"reasoning_effort": "high"}, ""),
    "openbmb-MiniCPM5-1B": ("?+-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>\n\n"),
    "poolside-Laguna-S-2.1": ("++-", {"enable_thinking": False}, {"enable_thinking": True}, "</think>"),
    "poolside-Laguna-XS-2.1": ("-+-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>\n"),
    "poolside-Laguna-XS.2": ("-+-", {"enable_thinking": False}, {"enable_thinking": True}, "\n</think>\n"),
    "tencent-Hy3": ("-+-", {}, {"reasoning_effort": "high"}, "</think:opensource>"),
    "unsloth-Apriel-1.5": ("???", {}, {}, "\n[BEGIN FINAL RESPONSE]\n\n"),
    "upstage-Solar-Open-100B": (
        "??-",
        {"reasoning_effort": "minimal"},
        {"reasoning_effort": "max"},
        "<|end|><|begin|>assistant",
    ),
}
SIGNS = {Thinking.OFF: "-", Thinking.EXPECTED: "?", Thinking.BEGUN: "+"}


def control_of(name: str, llama_models: Path) -> tuple[ReasoningControl, str]:
    """And what closes a thought; "" where there are no markers."""
    template = template_of(name, llama_models)
    traits = traits_of(template)
    spec = derive_spec(template, traits)
    control = ReasoningControl(template, traits, spec)
    return control, control.closing(spec.reasoning) if spec.reasoning else ""


def format_of(name: str, llama_models: Path) -> ChatFormat:
    source = template_of(name, llama_models).source
    return ChatFormat.of(source, bos_text="<BOS>", eos_text="<EOS>")


@pytest.mark.parametrize("name", TEMPLATES)
def test_how_the_models_of_real_templates_think(name: str, llama_models: Path) -> None:
    control, closing = control_of(name, llama_models)
    args = [control.args(ReasoningChoice(effort)) for effort in (None, Effort.ON, Effort.NONE, Effort.MAX)]
    signs = "".join(SIGNS[control.thinking(given)] for given in args[:3])
    assert (signs, args[2], args[3], closing) == REAL.get(name, ("---", {}, {}, ""))
    assert args[0] == {}


def test_a_budget_is_told_to_a_template_that_has_words_for_it(llama_models: Path) -> None:
    control, _ = control_of("ByteDance-Seed-OSS", llama_models)
    assert control.args(ReasoningChoice(budget=512)) == {"thinking_budget": 512}
    assert control.args(ReasoningChoice(budget=-1)) == {}


def test_a_dial_takes_the_nearest_value_that_the_template_knows(llama_models: Path) -> None:
    control, _ = control_of("Kimi-K3", llama_models)
    asked = (Effort.MINIMAL, Effort.LOW, Effort.MEDIUM, Effort.HIGH, Effort.XHIGH)
    given = [control.args(ReasoningChoice(effort))["thinking_effort"] for effort in asked]
    assert given == ["low", "low", "high", "high", "max"]


def test_a_turn_behind_a_result_may_begin_otherwise_than_one_behind_a_question(llama_models: Path) -> None:
    chat_format = format_of("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", llama_models)
    question = ask("Weather?", template_args={"enable_thinking": True}, tools=(WEATHER,))
    turns = ("Weather?", called("get_weather", '{"city": "Rome"}'), result("sunny"))
    behind = ask(*turns, template_args={"enable_thinking": True}, tools=(WEATHER,))
    assert text_of(chat_format.prompt(question)).endswith("<think>\n")
    assert Answer(chat_format.parser(question).feed(pieces("Hm", 9)[0])).reasoning == "Hm"
    assert "<think>" not in text_of(chat_format.prompt(behind))
    assert Answer(chat_format.parser(behind).feed(pieces("Sunny.", 9)[0])).content == "Sunny."


def test_a_switch_in_the_messages_counts(llama_models: Path) -> None:
    chat_format = format_of("NVIDIA-Nemotron-Nano-v2", llama_models)
    turns = ask(said(Role.SYSTEM, "/no_think"), said(Role.USER, "Hi"))
    assert text_of(chat_format.prompt(turns)).endswith("<think></think>")
    assert Answer(chat_format.parser(turns).feed(pieces("Hello", 9)[0])).content == "Hello"


@pytest.mark.parametrize(
    ("name", "opening", "end", "header"),
    [
        ("openai-gpt-oss-120b", "<|channel|>analysis<|message|>", "<|end|>", "<|channel|>final<|message|>"),
        ("muse-glimmer", " to=self<|message|>", "<|eom|>", " to=user<|message|>"),
    ],
)
def test_a_thought_in_a_channel_is_cut_by_the_message_that_follows(
    name: str, opening: str, end: str, header: str, llama_models: Path
) -> None:
    chat_format = format_of(name, llama_models)
    request = ask("Hi", reasoning=ReasoningChoice(Effort.NONE), output=JsonObjectFormat())
    limit = chat_format.reasoning_limit(request)
    assert limit == ReasoningLimit(0, opening, end, f"{end}<|start|>assistant{header}")
    written = f'{opening}{limit.closing}{{"a": 1}}'
    assert takes(chat_format.constraint(request), written)
    read = Answer(chat_format.parser(request).feed(pieces(written, 1000)[0]))
    assert (read.reasoning, read.content) == ("", '{"a": 1}')
    with_tools = ask("Hi", reasoning=ReasoningChoice(budget=9), tools=(WEATHER,))
    assert chat_format.reasoning_limit(with_tools) == ReasoningLimit(9, opening, end, f"{end}<|start|>assistant")


def test_a_model_without_a_switch_that_opens_its_thought_itself_has_it_closed_at_once(llama_models: Path) -> None:
    chat_format = format_of("Kimi-K2-Thinking", llama_models)
    request = ask("Hi", reasoning=ReasoningChoice(Effort.NONE))
    assert text_of(chat_format.prompt(request)).endswith("<|im_middle|>")
    assert chat_format.reasoning_limit(request) == ReasoningLimit(0, "<think>", "</think>", "\n</think>\n\n")
