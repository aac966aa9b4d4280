"""What the readers of calls have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

from app.formats.arguments import MAX_NAME
from app.formats.json_scan import Scan

__all__ = ["CallProgress", "CallReader", "is_name"]


@dataclass(frozen=True, slots=True)
class CallProgress:
    """What one stretch of text added. `started` is the function's name, given once, when the call is certain to be one.

    `position` is behind what was read; at MORE, the rest is to be given again with more text; at BROKEN, what stands there does
    not belong to a call; at DONE, it is what ends the call.
    """

    status: Scan
    position: int
    started: str | None
    arguments: str


class CallReader(Protocol):
    """Reads one call, from behind its opening."""

    id: str | None
    """As the model wrote it; None where it wrote none."""

    @property
    def started(self) -> bool: ...

    def read(self, text: str, start: int) -> CallProgress: ...


def is_name(text: Any) -> TypeGuard[str]:
    """Whether a function may be called so. Escapes in JSON can spell half a character, which no later stage could encode."""
    return isinstance(text, str) and 0 < len(text) <= MAX_NAME and text.isprintable() and bool(text.strip())
