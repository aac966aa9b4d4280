"""What crosses the border to a worker arrives as it was sent."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import get_args

import pytest

from app.domain.errors import ContextOverflow
from app.domain.generation import (
    EmbeddingResult,
    FinishReason,
    RerankResult,
    SamplingParams,
    Timings,
    TokenLogprob,
    Truncation,
    Usage,
)
from app.domain.memory import Device, DeviceKind, DeviceNeed, MemoryPlan
from app.domain.prompt import Constraint, ControlText, Picture, Piece, PlainText, TokenIds
from app.domain.stats import EngineStats
from app.engine import protocol
from app.engine.protocol import (
    Cancel,
    Detokenized,
    DetokenizeJob,
    Done,
    Embedded,
    EmbedJob,
    EngineConfig,
    Finish,
    Forget,
    GenerateJob,
    JobFailed,
    Load,
    LoadFailed,
    LoadProgress,
    LoraAdapter,
    PromptProgress,
    Ready,
    Reranked,
    RerankJob,
    RopeScaling,
    Saving,
    Shutdown,
    Standing,
    Survey,
    Surveyed,
    Tokenized,
    TokenizeJob,
    Tokens,
)
from tests.fakes import model_info

PROMPT = (ControlText("<user>"), PlainText("Hé"), Picture(b"\x89PNG"), TokenIds((1, 2)))
COMMANDS = (
    Load(EngineConfig(Path("model.gguf"), Path("mmproj.gguf"), n_gpu_layers=3, adapters=(LoraAdapter(Path("a.gguf"), 0.5),))),
    Survey(EngineConfig(Path("model.gguf"), rope=RopeScaling("yarn", 2.0))),
    GenerateJob("a", PROMPT, SamplingParams(seed=1, logit_bias=((3, -1.0),)), 9, ("END",), Constraint(lark='start: "a"'), 2),
    EmbedJob("b", ("text", (1, 2)), Truncation.END),
    RerankJob("b", "query", ("one", "two"), Truncation.START),
    TokenizeJob("c", PROMPT),
    DetokenizeJob("d", (1, 2)),
    Cancel("a"),
    Finish("a"),
    Forget("a conversation"),
    Shutdown(),
)
CHOSEN = TokenLogprob(7, "é", b"\xc3\xa9", -0.5, (TokenLogprob(8, "e", b"e", -1.0),))
EVENTS = (
    LoadProgress(0.5),
    Ready(model_info()),
    LoadFailed(ContextOverflow(n_prompt=9, n_ctx=8)),
    Saving(),
    Standing(EngineStats(steps=3, decode_s=0.5)),
    Surveyed((Device("CPU", "A processor", DeviceKind.CPU, 1, 2),), MemoryPlan(512, 0, 1, (DeviceNeed("CPU", 1, 2, 3),))),
    PromptProgress("a", 1, 2, 0),
    Tokens("a", (Piece(7, "é", control=False, logprob=CHOSEN),)),
    Done("a", FinishReason.LENGTH, Usage(1, 2, 3), Timings(0.0, 0.1, 0.2), stopped_by="END"),
    Embedded("b", EmbeddingResult((b"\0\0\x80?",), 2)),
    Reranked("b", RerankResult((0.25, 0.5), 2)),
    Tokenized("c", (1, -1)),
    Detokenized("d", "text"),
    JobFailed("a", ContextOverflow(n_prompt=9, n_ctx=8)),
)


def test_every_kind_of_command_and_event_is_tried_here() -> None:
    assert {type(command) for command in COMMANDS} == set(get_args(protocol.Command))
    assert {type(event) for event in EVENTS} == set(get_args(protocol.EngineEvent))


@pytest.mark.parametrize("message", [*COMMANDS, *EVENTS], ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_sent(message: object) -> None:
    arrived = pickle.loads(pickle.dumps(message))
    match message:
        case LoadFailed(error) | JobFailed(error=error):
            assert type(arrived.error) is type(error)
            assert vars(arrived.error) == vars(error)
            assert str(arrived.error) == str(error)
        case _:
            assert arrived == message
