"""How patient a download is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`stall_s` without a byte ends a connection.

    `tries` counts failures in a row: any byte that arrives starts it anew; None never gives up. `space_s` lies between two
    looks whether a full disk has room again, `busy_s` between two whether another program is done with a file.
    Of a file that is larger than `span_bytes`, connections ask for that much at a time. What has
    arrived is brought to the disk for good every `sync_s`.
    """

    tries: int | None = 6
    first_pause_s: float = 1.0
    max_pause_s: float = 30.0
    max_asked_s: float = 600.0
    connect_s: float = 20.0
    stall_s: float = 30.0
    space_s: float = 10.0
    busy_s: float = 5.0
    span_bytes: int = 32 << 20
    sync_s: float = 1.0

    def gives_up(self, failures: int) -> bool:
        """Whether so many failures in a row are enough."""
        return self.tries is not None and failures >= self.tries

    def pause_s(self, failures: int, asked_s: float | None) -> float:
        """How long to wait after so many failures, or as long as the server asked."""
        if asked_s is not None:
            return min(asked_s, self.max_asked_s)
        return min(self.first_pause_s * 2.0 ** min(failures - 1, 30), self.max_pause_s)
