"""Access tokens that a person entered, each for one hub."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any, Final

from app.domain.errors import SettingsError
from app.domain.hub import HubToken, TokenSource
from app.library.system_keyring import Keyring, KeyringUnavailable

__all__ = ["HubTokens"]

_log = logging.getLogger(__name__)
_KEYRING: Final = "keyring"
_TOKEN: Final = "token"


class HubTokens:
    """Kept in the system's keyring, else in `file`, which only its owner may read.

    `file` names the hubs that have a token, so that nobody without one is asked to unlock a keyring. Every method may take
    seconds: used from threads, one call at a time.
    """

    def __init__(self, file: Path, keyring: Keyring) -> None:
        self._file = file
        self._keyring = keyring

    def read(self, endpoint: str) -> HubToken | None:
        """None also if the keyring that holds it can't be read now."""
        entry = self._entries().get(endpoint)
        if entry is None:
            return None
        if token := entry.get(_TOKEN):
            return HubToken(str(token), TokenSource.FILE)
        try:
            kept = self._keyring.get(endpoint)
        except KeyringUnavailable as error:
            _log.warning("The access token for %s can't be read: %s", endpoint, error)
            return None
        return HubToken(kept, TokenSource.KEYRING) if kept else None

    def save(self, endpoint: str, token: str) -> TokenSource:
        """Keep it, and tell where. Raises SettingsError if it is no token, or can be kept nowhere."""
        token = token.strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise SettingsError("This is no access token: it must be one word, such as hf_…, without blanks.")
        try:
            self._keyring.set(endpoint, token)
        except KeyringUnavailable as error:
            _log.info("The access token is kept in %s: %s", self._file, error)
            entries = self._entries()
            # An older one that the keyring may still hold is not forgotten of.
            self._write({**entries, endpoint: {**entries.get(endpoint, {}), _TOKEN: token}})
            return TokenSource.FILE
        self._write({**self._entries(), endpoint: {_KEYRING: True}})
        return TokenSource.KEYRING

    def forget(self, endpoint: str) -> None:
        """Raises SettingsError if it can't be deleted."""
        entries = self._entries()
        entry = entries.pop(endpoint, None)
        if entry is None:
            return
        try:
            if self._keyring.get(endpoint) is not None:
                self._keyring.delete(endpoint)
        except KeyringUnavailable as error:
            if _KEYRING in entry:
                raise SettingsError(f"The keyring, which holds the access token, can't be changed: {error}") from error
        self._write(entries)

    def _entries(self) -> dict[str, dict[str, Any]]:
        with contextlib.suppress(OSError, ValueError):
            content = json.loads(self._file.read_text("utf-8"))
            if isinstance(content, dict):
                return {str(endpoint): entry for endpoint, entry in content.items() if isinstance(entry, dict)}
        return {}

    def _write(self, entries: dict[str, dict[str, Any]]) -> None:
        """In one step, and readable by nobody else from the first moment on."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor, new = tempfile.mkstemp(dir=self._file.parent, prefix=self._file.name, suffix=".new")
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                    json.dump(entries, stream, indent=1)
                    stream.flush()
                    os.fsync(stream.fileno())
                Path(new).replace(self._file)
            except BaseException:
                Path(new).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise SettingsError(f"{self._file} can't be written: {error.strerror}.") from error
