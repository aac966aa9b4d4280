"""How the window sees the HTTP server, which it must not import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.domain.observable import Observable

__all__ = ["ServerControl", "ServerState"]


@dataclass(frozen=True, slots=True)
class ServerState:
    """`address` such as "http://127.0.0.1:8642/v1" while it runs, else None. `error` is a sentence when a start failed."""

    running: bool
    address: str | None = None
    error: str | None = None


class ServerControl(Protocol):
    """Owned by the service loop."""

    @property
    def state(self) -> ServerState: ...

    @property
    def changed(self) -> Observable[ServerState]: ...

    async def start(self) -> None:
        """Bind and serve. Raises AddressInUse; does nothing if it runs already."""
        ...

    async def stop(self) -> None:
        """Stop taking requests, let streams end for at most two seconds, and free the port."""
        ...
