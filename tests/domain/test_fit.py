from __future__ import annotations

from dataclasses import replace

from app.domain.fit import Fit, FitVerdict, shortage
from app.domain.memory import HOST, DeviceNeed, MemoryPlan

GIB = 1024**3


def need(device: str, gib: int, *, free: int, margin: int = 1, shared: int = 0) -> DeviceNeed:
    return DeviceNeed(device, gib * GIB, 0, 0, free_bytes=free * GIB, margin_bytes=margin * GIB, shared_bytes=shared * GIB)


def plan(*needs: DeviceNeed, n_gpu: int = 0, limit: int = 0) -> MemoryPlan:
    return MemoryPlan(4096, n_gpu, 10, needs, limit_bytes=limit * GIB)


def test_where_the_layers_are_decides_while_it_fits() -> None:
    host, card = need(HOST, 1, free=8), need("CUDA0", 4, free=6)
    assert Fit.of(plan(host)).verdict is FitVerdict.MEMORY
    assert Fit.of(plan(card, host, n_gpu=3)).verdict is FitVerdict.PARTLY
    assert Fit.of(plan(card, host, n_gpu=10)).verdict is FitVerdict.GPU
    assert Fit.of(plan(card, replace(host, free_bytes=0), n_gpu=10)).verdict is FitVerdict.TOO_LARGE


def test_how_much_too_large_counts_every_device_and_its_margin() -> None:
    assert Fit.of(plan(need(HOST, 9, free=8))).short_bytes == 2 * GIB
    assert Fit.of(plan(need("CUDA0", 6, free=6), need(HOST, 9, free=8))).short_bytes == 3 * GIB
    assert Fit.of(plan(need(HOST, 4, free=8), limit=1)).short_bytes == 3 * GIB


def test_memory_that_is_shared_lacks_once() -> None:
    short = plan(need("MTL0", 10, free=8), need(HOST, 1, free=8, shared=10), n_gpu=10)
    assert Fit.of(short).short_bytes == 4 * GIB


def test_a_shortage_is_told_with_its_numbers() -> None:
    told = shortage(plan(need(HOST, 9, free=8), limit=4))
    assert "it needs 9.0 GiB of memory" in told
    assert "8.0 GiB are free, of which 1.0 GiB are kept" in told
    assert "the memory limit leaves 4.0 GiB to it" in told
    assert told.endswith("that is 5.0 GiB too little")
