"""Whether a model fits this computer, at the context it would be loaded with, now."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from app.domain.memory import MemoryPlan

__all__ = ["Fit", "FitVerdict"]


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
