"""What the command line decides about a run. Apart from `bootstrap`, so that a command that needs little loads little."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["EngineMode", "Options"]


class EngineMode(enum.StrEnum):
    """Where llama.cpp runs: a process per model, or a thread of this program (for debugging)."""

    PROCESS = "process"
    THREAD = "thread"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line decides. `overrides` are Settings fields that hold for this run only."""

    profile: Path | None = None
    engine: EngineMode = EngineMode.PROCESS
    overrides: Mapping[str, Any] = field(default_factory=dict)
    verbose: bool = False
