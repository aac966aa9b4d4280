"""What is measured. Each scenario asks one server and returns its figures; the runner repeats and interleaves."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from tests.benchmarks.client import Answer, Client
from tests.benchmarks.prompts import Texts

__all__ = ["ANSWER_SAMPLING", "SCENARIOS", "Load", "Metric", "Scenario", "Sizes"]

# llama.cpp's own defaults, said aloud because every server has others.
ANSWER_SAMPLING: Mapping[str, Any] = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05}
_GREEDY: Mapping[str, Any] = {"temperature": 0}
_COMPLETIONS, _CHAT = "/v1/completions", "/v1/chat/completions"

# Much that the schema decides, and words that it does not.
_SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "minItems": 60,
    "maxItems": 60,
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 24},
            "kind": {"enum": ["river", "mountain", "island", "city"]},
            "height": {"type": "integer"},
            "known": {"type": "boolean"},
        },
        "required": ["name", "kind", "height", "known"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Tokens, about."""

    answer: int = 128
    short: int = 32
    prompts: tuple[int, ...] = (512, 2048)
    streams: tuple[int, ...] = (1, 4, 8, 16)
    system: int = 1000
    chat: int = 2000
    long: int = 4000
    embedding_inputs: int = 64
    embedding_words: int = 100

    @classmethod
    def quick(cls) -> Sizes:
        return cls(
            answer=24, prompts=(256,), streams=(1, 4), system=160, chat=200, long=400, embedding_inputs=8, embedding_words=40
        )


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure's name, unit, and whether more of it is better."""

    name: str
    unit: str
    more_is_better: bool = False
    digits: int = 1


@dataclass(frozen=True, slots=True)
class Load:
    """One server in one repetition. `texts` are the same for every server and new in every repetition."""

    client: Client
    texts: Texts
    sizes: Sizes

    async def complete(self, prompt: str, n: int, **options: Any) -> Answer:
        body = {**ANSWER_SAMPLING, "seed": 1, "prompt": prompt, "max_tokens": n, **options}
        return await self.client.stream(_COMPLETIONS, body)

    async def chat(self, messages: list[dict[str, str]], n: int, **options: Any) -> Answer:
        body = {**ANSWER_SAMPLING, "seed": 1, "messages": messages, "max_tokens": n, **options}
        return await self.client.stream(_CHAT, body)


Figures: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`run` returns the figures of `metrics(sizes)` by name."""

    name: str
    about: str
    metrics: Callable[[Sizes], tuple[Metric, ...]]
    run: Callable[[Load], Awaitable[Figures]]
    of_embedding_models: bool = False


# ---------------------------------------------------------------------------------------------------------------- streams
def _stream_metrics(sizes: Sizes) -> tuple[Metric, ...]:
    return tuple(Metric(f"{n} streams" if n > 1 else "1 stream", "tokens/s", more_is_better=True) for n in sizes.streams)


async def _streams(load: Load) -> Figures:
    """One: from its first token to its last. Several: all their tokens, from the first request to the last token."""
    sizes = load.sizes
    figures = {}
    for n in sizes.streams:
        prompts = [load.texts.words(sizes.short, "streams", n, i) for i in range(n)]
        answers = await asyncio.gather(
            *(load.complete(prompt, sizes.answer, seed=i) for i, prompt in enumerate(prompts, start=1))
        )
        if n == 1:
            figures["1 stream"] = answers[0].rate
        else:
            start = min(answer.sent_at for answer in answers)
            end = max(answer.sent_at + answer.texts[-1] for answer in answers)
            figures[f"{n} streams"] = sum(answer.n_tokens for answer in answers) / (end - start)
    return figures


# ---------------------------------------------------------------------------------------------------------------- prompts
def _prompt_metrics(sizes: Sizes) -> tuple[Metric, ...]:
    return tuple(Metric(f"prompt of {n}", "tokens/s", more_is_better=True) for n in sizes.prompts)


async def _prompts(load: Load) -> Figures:
    figures = {}
    for n in load.sizes.prompts:
        answer = await load.complete(load.texts.words(n, "prompt", n), 1, **_GREEDY)
        # Some servers don't count for a stream.
        figures[f"prompt of {n}"] = (answer.n_prompt or n) / answer.first
    return figures


def _first_metrics(sizes: Sizes) -> tuple[Metric, ...]:
    return (Metric("short prompt", "ms"), Metric("short chat", "ms"), Metric(f"{sizes.system} cached", "ms"))


async def _first(load: Load) -> Figures:
    """To the first token: of a new short prompt, of a short chat, and of a prompt that goes on from one just answered."""
    sizes, texts = load.sizes, load.texts
    short = [(await load.complete(texts.words(sizes.short, "first", i), 4, **_GREEDY)).first for i in range(3)]
    chats = [(await load.chat(_asking(texts.words(sizes.short, "first chat", i)), 4, **_GREEDY)).first for i in range(3)]
    prompt = texts.words(sizes.system, "cached")
    await load.complete(prompt, 4, **_GREEDY)
    cached = []
    for i in range(3):
        prompt += " " + texts.words(16, "cached", i)
        cached.append((await load.complete(prompt, 4, **_GREEDY)).first)
    return {
        "short prompt": _ms(statistics.median(short)),
        "short chat": _ms(statistics.median(chats)),
        f"{sizes.system} cached": _ms(statistics.median(cached)),
    }


def _shared_metrics(_sizes: Sizes) -> tuple[Metric, ...]:
    return (Metric("first token, median of 8", "ms"), Metric("first token, last of 8", "ms"))


async def _shared(load: Load) -> Figures:
    """Eight clients come at once with the same new system prompt and their own questions."""
    system = {"role": "system", "content": load.texts.words(load.sizes.system, "system")}
    questions = [load.texts.words(16, "question", i) for i in range(8)]
    chats = (load.chat([system, *_asking(question)], 8) for question in questions)
    first = [answer.first for answer in await asyncio.gather(*chats)]
    return {"first token, median of 8": _ms(statistics.median(first)), "first token, last of 8": _ms(max(first))}


def _alternating_metrics(_sizes: Sizes) -> tuple[Metric, ...]:
    return (Metric("first token of later turns", "ms"), Metric("first token of opening turns", "ms"))


async def _alternating(load: Load) -> Figures:
    """Two long conversations, in turns. What was read in earlier turns need not be read again."""
    texts = load.texts
    chats = [_asking(texts.words(load.sizes.chat, "alternating", i)) for i in range(2)]
    opening: list[float] = []
    later: list[float] = []
    for turn in range(3):
        for i, messages in enumerate(chats):
            answer = await load.chat(messages, 16)
            (later if turn else opening).append(answer.first)
            messages += [{"role": "assistant", "content": answer.text}, *_asking(texts.words(16, "turn", turn, i))]
    return {
        "first token of later turns": _ms(statistics.median(later)),
        "first token of opening turns": _ms(statistics.median(opening)),
    }


def _gap_metrics(_sizes: Sizes) -> tuple[Metric, ...]:
    return (Metric("longest gap", "ms"), Metric("median gap meanwhile", "ms"), Metric("first token of the long prompt", "ms"))


async def _gaps(load: Load) -> Figures:
    """A stream runs, and a long prompt arrives: how long it stops the stream, and how long itself takes."""
    prompt = load.texts.words(load.sizes.short, "stream")
    # Outlasts the reading wherever the two share the steps; where they don't, one waits for the other's end.
    body = {**ANSWER_SAMPLING, "seed": 1, "prompt": prompt, "max_tokens": load.sizes.long // 4}
    running = await load.client.open_stream(_COMPLETIONS, body)
    await running.packets(12)
    long = await load.complete(load.texts.words(load.sizes.long, "long"), 4, **_GREEDY)
    running.leave()
    stream = await running.answer()
    from_, to = (long.sent_at - stream.sent_at + moment for moment in (0.0, long.first))
    before = [at for at in stream.texts if at <= from_]
    times = [before[-1], *(at for at in stream.texts if from_ < at <= to)]
    if stream.ended > to:
        times.append(to)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return {
        "longest gap": _ms(max(gaps, default=0.0)),
        "median gap meanwhile": _ms(statistics.median(gaps or [0.0])),
        "first token of the long prompt": _ms(long.first),
    }


# --------------------------------------------------------------------------------------------------------------- the rest
def _schema_metrics(_sizes: Sizes) -> tuple[Metric, ...]:
    return (
        Metric("schema", "tokens/s", more_is_better=True),
        Metric("free", "tokens/s", more_is_better=True),
        Metric("schema, first token", "ms"),
    )


async def _json_schema(load: Load) -> Figures:
    """The same chat with and without a schema. Random models seldom want what the schema asks for: the worst case."""
    question = _asking("List islands, as JSON. " + load.texts.words(load.sizes.short, "schema"))
    form = {"type": "json_schema", "json_schema": {"name": "places", "strict": True, "schema": _SCHEMA}}
    free = await load.chat(question, load.sizes.answer)
    bound = await load.chat(question, load.sizes.answer, response_format=form)
    return {"schema": bound.rate, "free": free.rate, "schema, first token": _ms(bound.first)}


def _cancel_metrics(_sizes: Sizes) -> tuple[Metric, ...]:
    return (Metric("first token after a cancelled prompt", "ms"),)


async def _cancel(load: Load) -> Figures:
    """A client leaves while its long prompt is read; the next request should not have to wait for it."""
    prompt = load.texts.words(load.sizes.long, "cancelled")
    leaving = await load.client.open_stream(_COMPLETIONS, {"prompt": prompt, "max_tokens": 4, **_GREEDY})
    await asyncio.sleep(0.25)
    leaving.leave()
    answer = await load.complete(load.texts.words(load.sizes.short, "after"), 4, **_GREEDY)
    return {"first token after a cancelled prompt": _ms(answer.first)}


def _embedding_metrics(sizes: Sizes) -> tuple[Metric, ...]:
    return (Metric(f"{sizes.embedding_inputs} inputs", "inputs/s", more_is_better=True),)


async def _embeddings(load: Load) -> Figures:
    sizes = load.sizes
    inputs = [load.texts.words(sizes.embedding_words, "embedding", i) for i in range(sizes.embedding_inputs)]
    started = asyncio.get_running_loop().time()
    answer = await load.client.post("/v1/embeddings", {"input": inputs})
    seconds = asyncio.get_running_loop().time() - started
    assert len(answer["data"]) == len(inputs)
    return {f"{sizes.embedding_inputs} inputs": len(inputs) / seconds}


def _asking(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


def _ms(seconds: float) -> float:
    return 1000 * seconds


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("streams", "answers written side by side", _stream_metrics, _streams),
        Scenario("prompt", "reading a new prompt", _prompt_metrics, _prompts),
        Scenario("first", "waiting for the first token", _first_metrics, _first),
        Scenario("shared", "8 clients with one new system prompt", _shared_metrics, _shared),
        Scenario("alternating", "two long conversations in turns", _alternating_metrics, _alternating),
        Scenario("gaps", "a stream while a long prompt arrives", _gap_metrics, _gaps),
        Scenario("json", "JSON schema output", _schema_metrics, _json_schema),
        Scenario("cancel", "a client leaves during a long prompt", _cancel_metrics, _cancel),
        Scenario("embeddings", "texts to vectors", _embedding_metrics, _embeddings, of_embedding_models=True),
    )
}
