"""Loading for real, and what llama.cpp says that it allocated, beside the plan that was made before."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.domain.memory import HOST, DeviceNeed, MemoryPlan
from app.engine.host_memory import resident_bytes
from app.engine.llama.allocations import Allocations, listening, parse
from app.engine.loading import load_engine
from app.engine.protocol import EngineConfig

__all__ = ["Loaded", "assert_agreement", "load"]

MIB = 1024 * 1024


@dataclass(frozen=True)
class Loaded:
    plan: MemoryPlan
    allocated: Allocations
    resident_bytes: int

    @property
    def need(self) -> DeviceNeed:
        need = self.plan.need_of(HOST)
        assert need is not None
        return need

    def bytes_of(self, *kinds: str) -> int:
        return sum(self.allocated.of(*kinds).values())


def load(config: EngineConfig) -> Loaded:
    before = resident_bytes()
    with listening() as heard:
        engine = load_engine(config, on_progress=lambda _fraction: True)
    grown = resident_bytes() - before
    plan = engine.info.memory
    engine.close()
    assert plan is not None
    # The dry runs come first.
    start = max(i for i, line in enumerate(heard.lines) if "loading model tensors" in line)
    return Loaded(plan, parse(heard.lines[start:]), grown)


def assert_agreement(loaded: Loaded) -> None:
    need = loaded.need
    weights, computing = loaded.bytes_of("model", "LoRA"), loaded.bytes_of("compute", "output")
    assert need.weights_bytes == pytest.approx(weights, rel=0.05)
    assert need.kv_bytes == pytest.approx(loaded.bytes_of("KV", "RS"), rel=0.05, abs=0.02 * MIB)
    assert need.compute_bytes == pytest.approx(computing, rel=0.05)
    assert loaded.plan.total_bytes == pytest.approx(weights + loaded.bytes_of("KV", "RS") + computing, rel=0.02)
