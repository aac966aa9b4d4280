"""Whether a model fits this computer, at the context it would be loaded with, now."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from app.domain.memory import HOST, DeviceNeed, MemoryPlan

__all__ = ["Fit", "FitVerdict", "shortage"]

_MIB = 1024 * 1024
_GIB = 1024 * _MIB


class FitVerdict(enum.StrEnum):
    """GPU: all layers there; PARTLY: some; MEMORY: in the computer's memory only; TOO_LARGE: more than is free."""

    GPU = "gpu"
    PARTLY = "partly"
    MEMORY = "memory"
    TOO_LARGE = "too-large"


@dataclass(frozen=True, slots=True)
class Fit:
    """`plan` is how it would be loaded once what would be unloaded for it is gone. `short_bytes`: how much too large it is.

    `estimated`: the header of its file could not be read, so that another quantization's was used, and the size of the file.
    """

    verdict: FitVerdict
    plan: MemoryPlan
    short_bytes: int = 0
    estimated: bool = False

    @classmethod
    def of(cls, plan: MemoryPlan, *, estimated: bool = False) -> Fit:
        return cls(_verdict(plan), plan, plan.short_bytes, estimated)


def _verdict(plan: MemoryPlan) -> FitVerdict:
    if not plan.fits:
        return FitVerdict.TOO_LARGE
    if not plan.n_gpu_layers:
        return FitVerdict.MEMORY
    return FitVerdict.GPU if plan.n_gpu_layers >= plan.n_layers else FitVerdict.PARTLY


def shortage(plan: MemoryPlan) -> str:
    """What a plan that does not fit needs, what there is, and by how much that is too little: the end of a sentence."""
    parts = [_shortage_on(need, plan) for need in plan.needs if not need.fits]
    if plan.over_limit_bytes:
        left = f"the memory limit leaves {_size(plan.limit_bytes)} to it"
        parts.append(f"it needs {_size(plan.total_bytes)} in all, but {left}")
    return f"{'; and '.join(parts)}; that is {_size(plan.short_bytes)} too little"


def _shortage_on(need: DeviceNeed, plan: MemoryPlan) -> str:
    parts = [
        f"{_size(need.weights_bytes)} for the weights",
        f"{_size(need.kv_bytes)} for a context of {plan.n_ctx} tokens",
        f"{_size(need.compute_bytes)} for computing",
    ]
    if need.projector_bytes:
        parts.append(f"{_size(need.projector_bytes)} for pictures")
    if need.draft_bytes:
        parts.append(f"{_size(need.draft_bytes)} for the draft model")
    if need.shared_bytes:
        parts.append(f"{_size(need.shared_bytes)} for the graphics card's share")
    where = "memory" if need.device == HOST else f"memory on {need.device}"
    needed = _size(need.total_bytes + need.shared_bytes)
    kept = _size(min(need.margin_bytes, need.free_bytes))
    free = f"{_size(need.free_bytes)} are free, of which {kept} are kept for other programs"
    return f"it needs {needed} of {where} ({', '.join(parts)}), but {free}"


def _size(size: int) -> str:
    """Memory is counted in powers of two."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / _MIB:.0f} MiB"
