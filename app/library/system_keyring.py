"""The system's keyring: Keychain, Credential Manager, Secret Service or KWallet."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

__all__ = ["Keyring", "KeyringUnavailable", "SystemKeyring"]

T = TypeVar("T")

_READ_S: Final = 5.0
# Somebody may have to unlock it first.
_WRITE_S: Final = 45.0


class KeyringUnavailable(Exception):
    """There is none, it is locked, or it does not answer."""


class Keyring(Protocol):
    """Every method may take seconds and raise KeyringUnavailable."""

    def get(self, name: str) -> str | None: ...

    def set(self, name: str, secret: str) -> None: ...

    def delete(self, name: str) -> None: ...


class SystemKeyring:
    """Entries of one `service`. Blocks for seconds at most: used from threads, one call at a time."""

    def __init__(self, service: str, *, read_s: float = _READ_S, write_s: float = _WRITE_S) -> None:
        self._service = service
        self._read_s = read_s
        self._write_s = write_s
        self._working: threading.Thread | None = None

    def get(self, name: str) -> str | None:
        def read() -> str | None:
            import keyring

            return keyring.get_password(self._service, name)

        return self._within(self._read_s, read)

    def set(self, name: str, secret: str) -> None:
        def write() -> None:
            import keyring

            keyring.set_password(self._service, name, secret)

        self._within(self._write_s, write)

    def delete(self, name: str) -> None:
        def remove() -> None:
            import keyring

            keyring.delete_password(self._service, name)

        self._within(self._write_s, remove)

    def _within(self, limit_s: float, work: Callable[[], T]) -> T:
        """On a thread that is left behind when it hangs, as calls over D-Bus do where nobody can be asked for a password."""
        if self._working is not None and self._working.is_alive():
            raise KeyringUnavailable("The keyring has not answered yet.")
        outcome: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

        def run() -> None:
            try:
                outcome.put((work(), None))
            except Exception as error:  # noqa: BLE001 - each backend raises what its system does
                outcome.put((None, error))

        self._working = threading.Thread(target=run, name="keyring", daemon=True)
        self._working.start()
        try:
            value, error = outcome.get(timeout=limit_s)
        except queue.Empty:
            raise KeyringUnavailable("The keyring does not answer.") from None
        if error is not None:
            raise KeyringUnavailable(str(error) or type(error).__name__) from error
        self._working.join()
        return value  # type: ignore[return-value]  # what `work` returned, where it raised nothing
