"""Addresses of hosts on the internet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread

__all__ = ["HostNames"]

_AT_ONCE = 4


class HostNames:
    """Looks names up, a few at once, on threads of its own: the system may leave a question without an answer for long, and
    neither the threads that chat needs nor the end of the program may wait for that. Owned by the service loop."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Raises OSError, UnicodeError. Who leaves early does not end the look-up, which keeps its turn."""
        loop = asyncio.get_running_loop()
        await self._turns.acquire()
        found: Future[Sequence[str]] = Future()
        found.set_running_or_notify_cancel()

        def look_up() -> None:
            try:
                found.set_result(_addresses(host, port))
            except Exception as error:  # noqa: BLE001 - passed on to who asked, whatever it is
                found.set_exception(error)
            # The loop may have ended in the meantime.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._turns.release)

        Thread(target=look_up, name=f"look up {host}", daemon=True).start()
        return await asyncio.wrap_future(found)


def _addresses(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(info[4][0]) for info in found))
