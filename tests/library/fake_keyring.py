"""A keyring in memory, which can be locked."""

from __future__ import annotations

from app.library.system_keyring import KeyringUnavailable

__all__ = ["FakeKeyring"]


class FakeKeyring:
    def __init__(self, *, locked: bool = False) -> None:
        self.entries: dict[str, str] = {}
        self.locked = locked
        self.asked = 0

    def get(self, name: str) -> str | None:
        self._ask()
        return self.entries.get(name)

    def set(self, name: str, secret: str) -> None:
        self._ask()
        self.entries[name] = secret

    def delete(self, name: str) -> None:
        self._ask()
        del self.entries[name]

    def _ask(self) -> None:
        self.asked += 1
        if self.locked:
            raise KeyringUnavailable("The keyring is locked.")
