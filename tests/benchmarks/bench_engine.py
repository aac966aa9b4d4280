"""How much of a step is Python, and what batching and prefix reuse bring. By hand:

    python -m tests.benchmarks.bench_engine [model.gguf]

Prints ratios; absolute times depend on the machine and on what else runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from app.domain.generation import SamplingParams
from app.domain.prompt import PlainText
from app.engine.engine import Engine
from app.engine.loading import load_engine
from app.engine.protocol import Done, EngineConfig, GenerateJob
from app.paths import resource

_TOKENS = 128


class _Stopwatch:
    """Adds up the time spent in some methods of an object, by putting itself in front of them."""

    def __init__(self, target: Any, *names: str) -> None:
        self.seconds = 0.0
        for name in names:
            setattr(target, name, self._timed(getattr(target, name)))

    def _timed(self, method: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return method(*args, **options)
            finally:
                self.seconds += time.perf_counter() - started

        return call


def _run(engine: Engine, jobs: list[GenerateJob]) -> tuple[float, int, int]:
    """Seconds, steps, and prompt tokens that were already computed."""
    for job in jobs:
        engine.submit(engine.prepare(job))
    started, steps, cached = time.perf_counter(), 0, 0
    while engine.busy:
        events = engine.step()
        steps += 1
        cached += sum(event.usage.cached_tokens for event in events if isinstance(event, Done))
    return time.perf_counter() - started, steps, cached


def _jobs(n: int, sampling: SamplingParams, text: str, *, max_tokens: int = _TOKENS) -> list[GenerateJob]:
    return [GenerateJob(f"{i}", (PlainText(f"{i} {text}"),), sampling, max_tokens=max_tokens) for i in range(n)]


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else resource("ember", "ember.gguf")
    engine = load_engine(EngineConfig(path, n_parallel=16, n_ctx=8192), on_progress=lambda _fraction: True)
    scheduler: Any = engine._scheduler
    native = _Stopwatch(scheduler._decoder, "decode", "logits")
    endings = tuple((token, -1000.0) for token in range(engine.info.n_vocab) if scheduler._vocabulary.is_eog(token))
    plans = {
        "greedy": SamplingParams(temperature=0, logit_bias=endings),
        "top-k 40": SamplingParams(seed=1, logit_bias=endings),
        "top-p only": SamplingParams(seed=1, top_k=0, min_p=0, logit_bias=endings),
        "penalties": SamplingParams(seed=1, repeat_penalty=1.1, presence_penalty=0.5, logit_bias=endings),
    }
    print(f"{path.name}: {_TOKENS} tokens per answer")
    print(
        f"{'plan':12} {'streams':>7} {'ms/step':>8} {'Python and sampling us/step':>28} {'of a step':>9} {'tokens/s vs 1':>13}"
    )
    for name, sampling in plans.items():
        alone = 0.0
        for n in (1, 4, 8, 16):
            native.seconds = 0.0
            seconds, steps, _ = _run(engine, _jobs(n, sampling, "Once upon a time"))
            rate = n * _TOKENS / seconds
            alone = alone or rate
            python = seconds - native.seconds
            share = f"{100 * python / seconds:8.1f}%"
            print(f"{name:12} {n:7} {1e3 * seconds / steps:8.2f} {1e6 * python / steps:28.0f} {share} {rate / alone:12.2f}x")
    text = "word " * 1000
    first, _, _ = _run(engine, _jobs(1, plans["greedy"], text, max_tokens=1))
    again, _, cached = _run(engine, _jobs(1, plans["greedy"], text + "and more", max_tokens=1))
    print(f"a prompt read before, {cached} of its tokens kept: {first / again:.1f} times as fast")
    engine.close()


if __name__ == "__main__":
    main()
