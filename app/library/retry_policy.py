"""How patient a download is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`stall_s` without a byte ends a connection. `tries` counts failures in a row: any byte that arrives starts it anew."""

    tries: int = 6
    first_pause_s: float = 1.0
    max_pause_s: float = 30.0
    connect_s: float = 20.0
    stall_s: float = 30.0

    def pause_s(self, failures: int, asked_s: float | None) -> float:
        """How long to wait after so many failures, or as long as the server asked."""
        return min(asked_s if asked_s is not None else self.first_pause_s * 2 ** (failures - 1), self.max_pause_s)
