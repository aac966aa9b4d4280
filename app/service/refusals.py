"""Who was turned away by the server and could be let in by a person."""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from app.domain.observable import Observable

__all__ = ["CallerKind", "Refusals", "RefusedCaller"]

_log = logging.getLogger(__name__)
# A page can come up with any number of names.
_KEPT = 8


class CallerKind(enum.Enum):
    """A web page, known by its origin; or a program that calls this computer by a name."""

    PAGE = "page"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class RefusedCaller:
    """`name` is what would have to be among the allowed origins or hosts."""

    kind: CallerKind
    name: str
    first: datetime


class Refusals:
    """Keeps the newest few. Owned by the service loop; `changed` tells of all that are kept."""

    def __init__(self) -> None:
        self.changed: Observable[tuple[RefusedCaller, ...]] = Observable()
        self._callers: dict[tuple[CallerKind, str], RefusedCaller] = {}
        self._dismissed: set[tuple[CallerKind, str]] = set()

    @property
    def callers(self) -> tuple[RefusedCaller, ...]:
        """Oldest first."""
        return tuple(self._callers.values())

    def note(self, kind: CallerKind, name: str) -> None:
        """Nothing happens for one that is known, or was dismissed."""
        caller = (kind, name)
        if caller in self._callers or caller in self._dismissed:
            return
        _log.warning("Turned away %s %s, which is not allowed", kind.value, name)
        self._callers[caller] = RefusedCaller(kind, name, datetime.now(UTC))
        while len(self._callers) > _KEPT:
            del self._callers[next(iter(self._callers))]
        self.changed.notify(self.callers)

    def dismiss(self, kind: CallerKind, name: str) -> None:
        """Tell no more of it, until the program is started again."""
        self._dismissed.add((kind, name))
        self.forget(kind, name)

    def forget(self, kind: CallerKind, name: str) -> None:
        """It is told of again if it is refused again."""
        if self._callers.pop((kind, name), None) is not None:
            self.changed.notify(self.callers)
