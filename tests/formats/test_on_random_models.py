"""Real vocabularies and templates on models with random weights: whatever such a model writes, a call that it must make is one.

Where a family's own vocabulary is at hand, its markers are special tokens; the others are tried as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from app.domain.generation import (
    AutoToolChoice,
    ChatRequest,
    FinishReason,
    JsonSchemaFormat,
    NamedToolChoice,
    ReasoningChoice,
    SamplingParams,
    Tool,
)
from app.engine.engine import Engine
from app.engine.loading import load_engine
from app.engine.protocol import Done, EngineConfig, GenerateJob, JobFailed, Tokens
from app.formats.chat_format import ChatFormat
from tests.engine.fakes import run
from tests.engine.tiny_models import write_llama
from tests.formats.real_templates import template_of
from tests.formats.talks import Answer, ask

pytestmark = pytest.mark.timeout(600)

# Vocabularies, and the templates tried with each.
VOCABULARIES: dict[str, tuple[str, ...]] = {
    "qwen2": (
        "Qwen-Qwen2.5-7B-Instruct",
        "Qwen-Qwen3-0.6B",
        "Qwen3-Coder",
        "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
        "GLM-4.6",
        "GLM-4.7-Flash",
        "MiniMax-M1",
        "MiniMax-M2",
        "MiniMax-M3",
        "Kimi-K2-Instruct",
        "Kimi-K3",
        "LFM2-8B-A1B",
        "LFM2.5-8B-A1B",
        "ibm-granite-granite-3.3-2B-Instruct",
        "ibm-granite-granite-4.0",
        "ByteDance-Seed-OSS",
        "NVIDIA-Nemotron-Nano-v2",
        "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
        "openai-gpt-oss-120b",
        "muse-glimmer",
        "Apertus-8B-Instruct",
        "openbmb-MiniCPM5-1B",
        "tencent-Hy3",
        "inclusionai-ling-3.0-flash",
        "upstage-Solar-Open-100B",
        "Bielik-11B-v3.0-Instruct",
        "HuggingFaceTB-SmolLM3-3B",
        "StepFun3.5-Flash",
        "Reka-Edge",
    ),
    "qwen35": ("Qwen3.5-4B",),
    "llama-bpe": (
        "meta-llama-Llama-3.1-8B-Instruct",
        "meta-llama-Llama-3.3-70B-Instruct",
        "meetkai-functionary-medium-v3.1",
        "meetkai-functionary-medium-v3.2",
        "fireworks-ai-llama-3-firefunction-v2",
    ),
    "llama-spm": (
        "mistralai-Mistral-Nemo-Instruct-2407",
        "Mistral-Small-3.2-24B-Instruct-2506",
        "mistralai-Ministral-3-14B-Reasoning-2512",
    ),
    "gemma-4": ("google-gemma-4-31B-it", "google-gemma-2-2b-it"),
    "command-r": ("CohereForAI-c4ai-command-r-plus-tool_use", "CohereForAI-c4ai-command-r7b-12-2024-tool_use"),
    "deepseek-llm": ("deepseek-ai-DeepSeek-V3.1", "deepseek-ai-DeepSeek-V3.2", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B"),
    "phi-3": ("microsoft-Phi-3.5-mini-instruct",),
}
TOOLS = (
    Tool(
        "set_light",
        "Sets a light.",
        json.dumps(
            {
                "type": "object",
                "properties": {
                    "room": {"type": "string", "minLength": 1, "maxLength": 12},
                    "color": {"enum": ["red", "blue", "warm white"]},
                    "level": {"type": "integer", "minimum": 0, "maximum": 100},
                    "on": {"type": "boolean"},
                    "days": {"type": "array", "items": {"enum": ["mon", "tue"]}, "minItems": 1, "maxItems": 2},
                },
                "required": ["room", "color", "level", "days"],
                "additionalProperties": False,
            }
        ),
    ),
    Tool("lights_out", "Switches all lights off.", '{"type": "object", "properties": {}, "additionalProperties": false}'),
)
SCHEMAS = {tool.name: json.loads(tool.parameters) for tool in TOOLS}
ANSWER = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}},
    "required": ["mood"],
    "additionalProperties": False,
}
CUT = ReasoningChoice(budget=20)


@dataclass(frozen=True, slots=True)
class Talker:
    engine: Engine
    format: ChatFormat

    def answer(self, request: ChatRequest, seed: int) -> tuple[Answer, bool, FinishReason]:
        job = GenerateJob(
            "a",
            self.format.prompt(request),
            SamplingParams(temperature=1.5, top_k=0, top_p=1, min_p=0, seed=seed),
            max_tokens=700,
            constraint=self.format.constraint(request),
            reasoning_limit=self.format.reasoning_limit(request),
        )
        result = run(self.engine, job)
        end = result.ends["a"]
        assert isinstance(end, Done), end.error if isinstance(end, JobFailed) else end
        parser = self.format.parser(request)
        pieces = [piece for event in result.events if isinstance(event, Tokens) for piece in event.pieces]
        deltas = [delta for piece in pieces for delta in parser.feed(piece)] + list(parser.finish())
        return Answer(deltas), parser.called_tools, end.reason


@pytest.fixture(scope="module", params=VOCABULARIES)
def vocabulary(
    request: pytest.FixtureRequest, llama_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Engine]]:
    name = str(request.param)
    path = write_llama(
        tmp_path_factory.mktemp(name) / "random.gguf", llama_models / f"ggml-vocab-{name}.gguf", n_ctx_train=8192
    )
    with closing(load_engine(EngineConfig(path, n_ctx=8192), on_progress=lambda _fraction: True)) as engine:
        yield name, engine


def test_a_call_that_must_be_made_is_one_of_the_tools_with_arguments_of_its_schema(
    vocabulary: tuple[str, Engine], llama_models: Path
) -> None:
    name, engine = vocabulary
    for template in VOCABULARIES[name]:
        talker = Talker(engine, ChatFormat.of(template_of(template, llama_models).source, bos_text="", eos_text=""))
        for choice in (AutoToolChoice.REQUIRED, NamedToolChoice.of("set_light")):
            check(talker, template, choice)


def check(talker: Talker, template: str, choice: Any) -> None:
    """A thought that never ends by itself is cut."""
    named = isinstance(choice, NamedToolChoice)
    request = ask("Light, please.", tools=TOOLS, tool_choice=choice, parallel_tool_calls=False, reasoning=CUT)
    answer, called, reason = talker.answer(request, seed=7)
    told = f"{template}, {choice}: {answer.content!r} {answer.names} {answer.arguments}"
    assert reason is FinishReason.STOP, told
    assert called, told
    assert len(answer.names) == 1, told
    assert answer.names[0] == "set_light" or not named, told
    assert not answer.content.strip(), told
    jsonschema.validate(json.loads(answer.arguments[0]), SCHEMAS[answer.names[0]])


def test_an_answer_of_a_schema_conforms_to_it_beside_tools(vocabulary: tuple[str, Engine], llama_models: Path) -> None:
    name, engine = vocabulary
    for template in VOCABULARIES[name]:
        talker = Talker(engine, ChatFormat.of(template_of(template, llama_models).source, bos_text="", eos_text=""))
        for tools in ((), TOOLS):
            request = ask(
                "Mood?",
                tools=tools,
                output=JsonSchemaFormat(json.dumps(ANSWER)),
                parallel_tool_calls=False,
                reasoning=CUT,
            )
            answer, called, reason = talker.answer(request, seed=3)
            told = f"{template}: {answer.content!r} {answer.names} {answer.arguments}"
            assert reason is FinishReason.STOP, told
            if called:
                assert tools, told
                for call, arguments in zip(answer.names, answer.arguments, strict=True):
                    jsonschema.validate(json.loads(arguments), SCHEMAS[call])
            else:
                jsonschema.validate(json.loads(answer.content), ANSWER)
