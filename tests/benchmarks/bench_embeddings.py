"""What packing brings to embeddings: inputs read together against one by one. By hand:

    python -m tests.benchmarks.bench_embeddings [model.gguf]

Without a file it makes all-MiniLM-L6-v2. Prints ratios; absolute times depend on the machine and on what else runs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from app.engine.engine import Engine
from app.engine.loading import load_engine
from app.engine.protocol import Embedded, EmbedJob, EngineConfig
from tests.minilm import write_minilm

_ROUNDS = 3
# Inputs, and tokens of each; the last is a mix of short and long.
_SHAPES = {"64 x 128": (128,) * 64, "256 x 16": (16,) * 256, "16 x 500": (500,) * 16, "mixed": (8, 300, 24, 90) * 24}


def _ids(engine: Engine, lengths: tuple[int, ...]) -> list[tuple[int, ...]]:
    random = np.random.default_rng(1)
    return [tuple(random.integers(1000, engine.info.n_vocab - 1, length).tolist()) for length in lengths]


def _seconds(engine: Engine, jobs: list[EmbedJob]) -> float:
    started, done = time.perf_counter(), 0
    for job in jobs:
        engine.submit(engine.prepare(job))
    while engine.busy:
        done += sum(isinstance(event, Embedded) for event in engine.step())
    assert done == len(jobs)
    return time.perf_counter() - started


def _wait_of_a_short_one(engine: Engine, inputs: list[tuple[int, ...]]) -> float:
    """The share of a long request's time after which a short one, that came later, is answered."""
    engine.submit(engine.prepare(EmbedJob("long", tuple(inputs))))
    engine.submit(engine.prepare(EmbedJob("short", (inputs[0][:16],))))
    started = time.perf_counter()
    ends = {}
    while engine.busy:
        for event in engine.step():
            ends[event.id] = time.perf_counter() - started
    return ends["short"] / ends["long"]


def _bench(path: Path) -> None:
    engine = load_engine(EngineConfig(path, embedding=True), on_progress=lambda _fraction: True)
    print(f"{path.name}: one request of many inputs, and as many requests, against one request after the other")
    print(f"{'inputs':10} {'one by one/s':>12} {'packed':>8} {'requests':>9} {'short one waits':>16}")
    for name, lengths in _SHAPES.items():
        inputs = _ids(engine, lengths)
        alone, packed, apart = [], [], []
        for _ in range(_ROUNDS):
            alone.append(sum(_seconds(engine, [EmbedJob("a", (ids,))]) for ids in inputs))
            packed.append(_seconds(engine, [EmbedJob("a", tuple(inputs))]))
            apart.append(_seconds(engine, [EmbedJob(f"{i}", (ids,)) for i, ids in enumerate(inputs)]))
        base = min(alone)
        ratios = [base / min(times) for times in (packed, apart)]
        waits = f"{100 * _wait_of_a_short_one(engine, inputs):.0f}% of the long"
        print(f"{name:10} {len(inputs) / base:12.1f} {ratios[0]:7.2f}x {ratios[1]:8.2f}x {waits:>16}")
    engine.close()


def main() -> None:
    if len(sys.argv) > 1:
        _bench(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        _bench(write_minilm(Path(folder, "all-minilm.gguf")))


if __name__ == "__main__":
    main()
