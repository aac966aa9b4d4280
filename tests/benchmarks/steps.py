"""Where the time of a step goes, in an engine with no server around it.

    python -m tests.benchmarks.steps MODEL [--threads N] [--ctx N] [--tokens N]

Prints a table, and as its last line the figures of one and of eight streams as JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.domain.generation import SamplingParams
from app.domain.prompt import PlainText
from app.engine.engine import Engine
from app.engine.loading import load_engine
from app.engine.protocol import EngineConfig, GenerateJob
from app.engine.sampling import Sampler
from tests.benchmarks.prompts import Texts
from tests.benchmarks.report import print_table

_STREAMS = (1, 4, 8, 16)
_PLANS = {
    "top-k 40": SamplingParams(temperature=0.8, top_k=40, top_p=0.95, min_p=0.05, seed=1),
    "greedy": SamplingParams(temperature=0),
    "top-p alone": SamplingParams(temperature=0.8, top_k=0, top_p=0.95, min_p=0, seed=1),
    "penalties": SamplingParams(temperature=0.8, top_k=40, repeat_penalty=1.1, presence_penalty=0.5, seed=1),
}


class _Stopwatch:
    """Adds up the time spent in some methods, by putting itself in front of them."""

    def __init__(self, target: Any, *names: str) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._depth = 0
        for name in names:
            setattr(target, name, self._timed(getattr(target, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            started, self._depth = time.perf_counter(), self._depth + 1
            try:
                return method(*args, **options)
            finally:
                self._depth -= 1
                # One that calls another is counted once.
                if not self._depth:
                    self.seconds += time.perf_counter() - started

        return call


def _watching_s() -> float:
    """What a stopwatch adds to a call outside the time that it takes."""

    class Idle:
        def call(self) -> None: ...

    idle, n = Idle(), 20_000
    started = time.perf_counter()
    for _ in range(n):
        idle.call()
    bare = time.perf_counter() - started
    watch = _Stopwatch(idle, "call")
    started = time.perf_counter()
    for _ in range(n):
        idle.call()
    return max(0.0, (time.perf_counter() - started - watch.seconds - bare) / n)


_WATCHING_S = _watching_s()


@dataclass(frozen=True, slots=True)
class _Step:
    """Seconds of an average step."""

    whole: float
    native: float
    sampling: float
    sending: float

    @property
    def python(self) -> float:
        """Outside llama.cpp and outside sampling."""
        return self.whole - self.native - self.sampling

    @property
    def share(self) -> float:
        """Of the step, sampling included."""
        return (self.whole - self.native) / self.whole


class _Bench:
    def __init__(self, engine: Engine, n_tokens: int) -> None:
        self._engine = engine
        self._n_tokens = n_tokens
        scheduler: Any = engine._scheduler
        self._native = _Stopwatch(scheduler._decoder, "decode", "logits")
        self._sampling = _Stopwatch(Sampler, "edit", "pick", "pick_within", "accept")

    def measure(self, n: int, sampling: SamplingParams) -> _Step:
        """`n` answers side by side; the first steps, which read the prompts, do not count."""
        texts = Texts(f"steps/{n}")
        for i in range(n):
            job = GenerateJob(f"{n}-{i}", (PlainText(texts.words(16, i)),), sampling, max_tokens=self._n_tokens)
            self._engine.submit(self._engine.prepare(job))
        for _ in range(4):
            self._engine.step()
        self._native.seconds = self._sampling.seconds = 0.0
        self._native.calls = self._sampling.calls = 0
        seconds, sending, steps = 0.0, 0.0, 0
        while self._engine.busy:
            started = time.perf_counter()
            events = self._engine.step()
            stepped = time.perf_counter()
            pickle.dumps(events, pickle.HIGHEST_PROTOCOL)
            sending += time.perf_counter() - stepped
            seconds += time.perf_counter() - started
            steps += 1
        # What looking at the clock took.
        seconds -= _WATCHING_S * (self._native.calls + self._sampling.calls)
        return _Step(seconds / steps, self._native.seconds / steps, self._sampling.seconds / steps, sending / steps)


def _figures(steps: Mapping[int, _Step]) -> dict[str, float]:
    figures = {}
    for n, name in ((1, "1 stream"), (8, "8 streams")):
        step = steps[n]
        figures[f"step, {name}"] = 1e3 * step.whole
        figures[f"sampling, {name}"] = 1e6 * step.sampling
        figures[f"Python outside sampling, {name}"] = 1e6 * step.python
        figures[f"Python of a step, {name}"] = 100 * step.share
    return figures


def _row(plan: str, n: int, step: _Step) -> list[str]:
    microseconds = (step.native, step.sampling, step.python, step.sending)
    return [
        f"{plan}, {n}",
        f"{1e3 * step.whole:.2f}",
        *(f"{1e6 * value:.0f}" for value in microseconds),
        f"{100 * step.share:.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.steps")
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--ctx", type=int, default=16384)
    parser.add_argument("--tokens", type=int, default=128)
    options = parser.parse_args()
    config = EngineConfig(options.model, n_parallel=max(_STREAMS), n_ctx=options.ctx, n_threads=options.threads)
    engine = load_engine(config, on_progress=lambda _fraction: True)
    # As the worker does.
    gc.freeze()
    bench = _Bench(engine, options.tokens)
    measured = {(plan, n): bench.measure(n, sampling) for plan, sampling in _PLANS.items() for n in _STREAMS}
    engine.close()
    head = [
        "sampling, streams",
        "step ms",
        "llama.cpp us",
        "sampling us",
        "Python us",
        "of it to send us",
        "Python of a step %",
    ]
    print_table(head, [_row(plan, n, step) for (plan, n), step in measured.items()])
    main_plan = next(iter(_PLANS))
    print(json.dumps(_figures({n: step for (plan, n), step in measured.items() if plan == main_plan})))


if __name__ == "__main__":
    main()
