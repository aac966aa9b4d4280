"""What choosing a token costs, for each plan and for answers held to a schema. By hand:

    python -m tests.benchmarks.bench_sampling [model.gguf]

Sampling is measured on rows of 128,256 logits with a few dozen likely tokens. Structured output needs a vocabulary: a model
file's (Ember's where none is named; llama.cpp's `ggml-vocab-llama-bpe.gguf` shows a large one).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.generation import SamplingParams
from app.domain.prompt import Constraint
from app.engine.constraint import ConstraintCompiler
from app.engine.decoder import FloatArray
from app.engine.llama.backend import start_backend
from app.engine.llama.chain import LlamaChain
from app.engine.llama.grammar import make_tokenizer
from app.engine.llama.model import LlamaVocabulary
from app.engine.sampling import Plan, Sampler, SamplingPlanner, logprobs
from app.paths import resource
from tests.engine.fakes import FakeVocabulary
from tests.engine.native_chain import NativeChain
from tests.engine.rows import params_of, random_row

_N_VOCAB = 128_256
_TOKENS = 200
PLANS = {
    "greedy": SamplingParams(temperature=0),
    "default": SamplingParams(seed=1),
    "default, penalties": SamplingParams(seed=1, repeat_penalty=1.1, presence_penalty=0.5),
    "default, DRY": SamplingParams(seed=1, dry_multiplier=0.8),
    "default, DRY, all tokens": SamplingParams(seed=1, dry_multiplier=0.8, dry_penalty_last_n=-1),
    "default, xtc, typical": SamplingParams(seed=1, xtc_probability=0.5, typical_p=0.9),
    "top-n-sigma": params_of(top_n_sigma=1.5),
    "top-p alone": params_of(top_p=0.95),
    "min-p alone": params_of(min_p=0.05),
    "temperature alone": params_of(temperature=0.8),
    "typical alone": params_of(typical_p=0.9),
    "mirostat 2": params_of(mirostat=2),
}
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "note": {"type": "string", "maxLength": 200},
    },
    "required": ["name", "age", "tags", "unit", "note"],
    "additionalProperties": False,
}
VALUE = {
    "name": "Anna Müller of the northern hills",
    "age": 33,
    "tags": ["one", "two words here", "a third and longer tag"],
    "unit": "celsius",
    "note": "something short, and then a little more of it until the line is full",
}


class _Words(FakeVocabulary):
    def piece(self, token: int) -> bytes:
        return b"word"


def main() -> None:
    rows = [random_row(seed, _N_VOCAB) for seed in range(8)]
    print(f"{_N_VOCAB} tokens in the vocabulary, {_TOKENS} tokens each; microseconds of the thread's own time per token")
    print(f"{'':26} {'plan':7} {'edit+pick':>10} {'native chain':>13}")
    for name, params in PLANS.items():
        _sampling(name, params, rows)
    took = _timed(lambda: logprobs(rows[0], 5, 20, _Words()), 50)
    print(f"{'20 log probabilities':26} {'':7} {took:10.0f}")
    _structured(sys.argv[1] if len(sys.argv) > 1 else str(resource("ember", "ember.gguf")))


def _sampling(name: str, params: SamplingParams, rows: list[FloatArray]) -> None:
    # Edits are made in place.
    rows = [row.copy() for row in rows]
    plan = SamplingPlanner(FakeVocabulary()).plan(params)
    chain = None if plan.plan is Plan.GREEDY else LlamaChain(params, seed=1, n_vocab=_N_VOCAB)
    history = np.random.default_rng(0).integers(0, 3000, 4000).astype(np.int32)
    ours = Sampler(plan, chain=chain, history=history)
    native = NativeChain(params, seed=1, n_vocab=_N_VOCAB)

    def step(index: int) -> None:
        row = rows[index % len(rows)]
        ours.edit(row)
        ours.accept(ours.pick(row))

    def native_step(index: int) -> None:
        native.accept(native.pick(rows[index % len(rows)]))

    print(f"{name:26} {plan.plan.name.lower():7} {_each(step, _TOKENS):10.0f} {_each(native_step, 30):13.0f}")
    ours.close()
    native.close()


def _structured(path: str) -> None:
    native = start_backend()
    params = native.llama_model_default_params()
    params.vocab_only = True
    model = native.llama_model_load_from_file(str(Path(path)).encode(), params)
    vocabulary = LlamaVocabulary(native, native.llama_model_get_vocab(model))
    started = time.thread_time()
    tokenizer = make_tokenizer(vocabulary)
    print(
        f"\n{Path(path).name}: {vocabulary.n_tokens} tokens; its grammar tokenizer takes {time.thread_time() - started:.2f} s"
    )
    compiler = ConstraintCompiler(vocabulary, lambda **_options: tokenizer)
    schemas = (Constraint(json_schema=json.dumps({**SCHEMA, "title": f"{number}"})) for number in range(1000))
    again = Constraint(json_schema=json.dumps(SCHEMA))
    print(f"compiling a schema: {_timed(lambda: compiler.compile(next(schemas)), 20):.0f} us;", end=" ")
    print(f"one that was used before: {_timed(lambda: compiler.compile(again), 20):.0f} us")
    wanted = vocabulary.tokenize(json.dumps(VALUE, ensure_ascii=False), parse_special=False)
    for name, row_of in (("a model that conforms", _willing), ("a model that never does", _unwilling)):
        _follow(name, compiler, vocabulary, wanted, row_of)
    native.llama_model_free(model)


def _willing(row: FloatArray, token: int) -> None:
    row[token] = 40


def _unwilling(row: FloatArray, token: int) -> None:
    row[token] = 4


def _follow(
    name: str,
    compiler: ConstraintCompiler,
    vocabulary: LlamaVocabulary,
    wanted: list[int],
    row_of: Callable[[FloatArray, int], None],
) -> None:
    """Write one answer token by token, as a generation does, and tell what the grammar adds to the choosing."""
    params = SamplingParams(seed=1)
    plan = SamplingPlanner(vocabulary).plan(params)
    sampler = Sampler(plan, chain=LlamaChain(params, seed=1, n_vocab=vocabulary.n_tokens))
    constraint = compiler.compile(Constraint(json_schema=json.dumps(SCHEMA)))
    costs: list[float] = []
    base: Any = random_row(1, vocabulary.n_tokens)
    for token in wanted:
        row = base.copy()
        row_of(row, token)
        free = sampler.pick(row)
        started = time.thread_time_ns()
        if not constraint.allows(free):
            allowed = constraint.allowed(but=free)
            sampler.pick_within(row, allowed.ids, ruled_out=allowed.ruled_out)
        constraint.accept(token)
        if not constraint.finished:
            constraint.forced()
        costs.append((time.thread_time_ns() - started) / 1e3)
    costs.sort()
    picture = f"mean {np.mean(costs):.0f}, half of them below {costs[len(costs) // 2]:.0f}, the worst {costs[-1]:.0f}"
    print(f"{name}: the schema adds {picture} us per token ({len(costs)} tokens)")
    sampler.close()


def _timed(work: Callable[[], object], n: int) -> float:
    return _each(lambda _index: work(), n)


def _each(work: Callable[[int], object], n: int) -> float:
    """Microseconds per call, the better of two rounds."""
    best = float("inf")
    for _ in range(2):
        started = time.thread_time_ns()
        for index in range(n):
            work(index)
        best = min(best, (time.thread_time_ns() - started) / n / 1e3)
    return best


if __name__ == "__main__":
    main()
