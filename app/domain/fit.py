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
    """`plan` is how it would be loaded once what would be unloaded for it is gone. `short_bytes`: how much too large it is."""

    verdict: FitVerdict
    plan: MemoryPlan
    short_bytes: int = 0
