"""The memory that models in memory leave to the next one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.domain.memory import MemoryPlan
from app.engine.protocol import EngineConfig
from app.service.resident import Resident
from app.settings import SettingsStore

__all__ = ["MemoryRoom", "Neighbours"]

_GIB = 1024**3
# Models that hold less than this of what a new one takes would not help it much by going.
_WORTH = 0.1


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Models beside one that is to be loaded: those that stay, those that may go if that gives it what it lacks, the least
    recently used first, and those that go in any case."""

    staying: tuple[Resident, ...]
    idle: tuple[Resident, ...]
    leaving: tuple[Resident, ...]


class MemoryRoom:
    """One budget for all models. Owned by the service loop."""

    def __init__(self, settings: SettingsStore) -> None:
        self._settings = settings

    def config(self, config: EngineConfig, others: Iterable[Resident], *, leaving: Iterable[Resident] = ()) -> EngineConfig:
        """`config` with what the other models leave: the system calls their mapped files free, and a limit holds for all.

        Those that are `leaving` are in memory still, but will not be.
        """
        residents = tuple(others)
        limit = round(self._settings.current.memory_limit_gib * _GIB)
        left = max(1, limit - sum(one.memory_bytes for one in residents)) if limit else 0
        mapped = sum(one.mapped_bytes for one in residents)
        return replace(config, memory_limit_bytes=left, memory_reserved_bytes=mapped, memory_returned=_held(leaving))

    def is_worth_evicting(self, plan: MemoryPlan, idle: Sequence[Resident]) -> bool:
        """Whether a model with this plan lacks what the idle ones have."""
        if not plan.is_cramped:
            return False
        held = sum(one.memory_bytes for one in idle)
        if plan.fits:
            return held >= _WORTH * plan.total_bytes
        room = all(need.room_bytes + sum(one.memory_on(need.device) for one in idle) >= 0 for need in plan.needs)
        return room and plan.over_limit_bytes <= held


def _held(residents: Iterable[Resident]) -> tuple[tuple[str, int], ...]:
    """What models hold of each device that the system does not call free."""
    held: Counter[str] = Counter()
    for one in residents:
        held.update(one.held)
    return tuple(sorted(held.items()))
