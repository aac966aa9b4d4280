"""What a day of clients asks, in a minute: requests of every kind, with beginnings in common, drawn from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.domain.generation import SamplingParams
from app.domain.prompt import Constraint, ControlText, Picture, PlainText, PromptSegment, TokenIds
from app.engine.protocol import GenerateJob

__all__ = ["Request", "chats", "tokens"]

GREEDY = SamplingParams(temperature=0)
_SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"enum": ["Anna", "Ben", "Christopher"]},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "moods": {"type": "array", "items": {"enum": ["good", "bad"]}, "minItems": 1, "maxItems": 2},
    },
    "required": ["name", "age", "moods"],
    "additionalProperties": False,
}
_JSON = Constraint(json_schema=json.dumps(_SCHEMA))
_QUESTIONS = (
    "Hello",
    "Who are you?",
    "What is 3 plus 4?",
    "What is the capital of France?",
    "Say blue.",
    "Tell me a story about a little boat on a large lake.",
    "Anna is 30 years old. Return JSON with the keys name and age.",
)
_SYSTEMS = ("", "You are a helpful assistant. " * 12, "Answer in one short sentence, please. " * 8)


@dataclass(frozen=True, slots=True)
class Request:
    """A job to be sent under several names. `n` answers are wanted at once; some are left after `leave_after` steps."""

    job: GenerateJob
    n: int = 1
    leave_after: int | None = None
    oversized: bool = False


def chats(rng: random.Random, pictures: Sequence[bytes], n: int) -> list[Request]:
    """Conversations for a model with a chat template like Ember's, with pictures."""
    kinds = [_chat(rng, pictures) for _ in range(60)]
    return [_vary(rng, rng.choice(kinds), (PlainText("word " * 5000),)) for _ in range(n)]


def tokens(rng: random.Random, n: int) -> list[Request]:
    """Prompts of ids, for a model with random weights: what it writes depends on each of them."""
    trunks = [tuple(rng.choices(range(300, 2000), k=k)) for k in (20, 90, 200)]
    control = ControlText("<|im_start|>")
    kinds: list[GenerateJob] = []
    for _ in range(60):
        trunk = rng.choice(trunks)
        cut = rng.choice([len(trunk), rng.randrange(1, len(trunk))])
        tail = tuple(rng.choices(range(300, 2000), k=rng.randrange(1, 60)))
        kinds.append(_job((TokenIds(trunk[:cut]), control, TokenIds(tail)), rng.choice([4, 20, 90])))
    # Conversations that go on.
    kinds += [replace(job, prompt=(*job.prompt, control, TokenIds((7, 8, 9)))) for job in kinds[:15]]
    return [_vary(rng, rng.choice(kinds), (TokenIds(tuple(range(300, 1900)) * 2),)) for _ in range(n)]


def _chat(rng: random.Random, pictures: Sequence[bytes]) -> GenerateJob:
    segments: list[PromptSegment] = []
    if system := rng.choice(_SYSTEMS):
        segments += [ControlText("<|im_start|>system\n"), PlainText(system), ControlText("<|im_end|>\n")]
    for i in range(rng.choice([1, 1, 3])):
        segments.append(ControlText(f"<|im_start|>{'assistant' if i % 2 else 'user'}\n"))
        if i % 2 == 0 and pictures and rng.random() < 0.35:
            segments += [Picture(rng.choice(pictures)) for _ in range(rng.choice([1, 1, 2]))]
        segments += [PlainText(rng.choice(_QUESTIONS)), ControlText("<|im_end|>\n")]
    return _job((*segments, ControlText("<|im_start|>assistant\n")), rng.choice([10, 30, 120]))


def _job(prompt: tuple[PromptSegment, ...], max_tokens: int) -> GenerateJob:
    return GenerateJob("", prompt, GREEDY, max_tokens=max_tokens)


def _vary(rng: random.Random, job: GenerateJob, too_long: tuple[PromptSegment, ...]) -> Request:
    job = replace(job, owner=rng.choice([None, None, "anna", "ben"]), preferred=rng.random() < 0.1)
    x = rng.random()
    if x < 0.15:
        job = replace(job, constraint=_JSON)
    elif x < 0.3:
        # The log probability of each token shows whether it was drawn from the right ones.
        sampling = SamplingParams(temperature=0.8, top_k=20, top_p=1.0, min_p=0.0, seed=rng.randrange(4))
        job = replace(job, sampling=sampling, top_logprobs=0)
    elif x < 0.4:
        job = replace(job, top_logprobs=3)
    elif x < 0.45:
        job = replace(job, stop=("the", "e\n"))
    elif x < 0.48:
        return Request(replace(job, prompt=too_long), oversized=True)
    n = rng.choice([1] * 8 + [2, 3])
    return Request(job, n, rng.randrange(25) if rng.random() < 0.2 else None)
