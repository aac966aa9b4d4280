"""Keys that programs show to the server."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.domain.errors import SettingsError
from app.domain.observable import Observable

__all__ = ["ApiKey", "ApiKeys"]

_PREFIX = "hearth-"
_RANDOM_BYTES = 32
_LONGEST_NAME = 64
# A use is noted this often at most.
_NOTED_S = 60.0
# Two changes of a folder this close together may leave it the same time stamp.
_TICK_NS = 100_000_000
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`last_used` is right to a minute, None before the first use."""

    name: str
    created: datetime
    last_used: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    name: str
    created: datetime
    file: Path

    @property
    def digest(self) -> str:
        return self.file.stem


class ApiKeys:
    """The keys of a profile: one file for each, called by the key's SHA-256, whose time of change is the key's last use.

    A key is 256 random bits, so nothing is gained by a slow hash as for passwords: there is no list of likely ones to try.
    Programs that share the profile may create and revoke keys at the same time; each sees it at once. Owned by the service
    loop: a look costs microseconds, which is not worth a thread.
    """

    def __init__(self, folder: Path) -> None:
        self.changed: Observable[tuple[ApiKey, ...]] = Observable()
        self._folder = folder
        self._seen_ns = -1
        self._known: tuple[_Stored, ...] = ()
        self._noted: dict[str, float] = {}

    def listed(self) -> tuple[ApiKey, ...]:
        """Oldest first."""
        return tuple(ApiKey(key.name, key.created, _last_used(key.file)) for key in self._stored())

    def create(self, name: str) -> str:
        """Make a key and return it: it can't be had again. Raises SettingsError if the name is taken or unfit."""
        name = name.strip()
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise SettingsError(f"Give the key a name of 1 to {_LONGEST_NAME} characters, such as the program it is for.")
        if any(key.name == name for key in self._stored()):
            raise SettingsError(f"There is a key '{name}' already. Revoke it first, or choose another name.")
        key = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        try:
            self._write(name, _digest(key.encode()))
        except OSError as error:
            raise SettingsError(f"{self._folder} can't be written: {error.strerror}.") from error
        self.changed.notify(self.listed())
        return key

    def revoke(self, name: str) -> None:
        """From now on the key opens nothing. Raises SettingsError if there is none of this name."""
        found = [key for key in self._stored() if key.name == name]
        if not found:
            raise SettingsError(f"There is no key '{name[:_LONGEST_NAME]}'. 'hearth keys list' shows them.")
        try:
            for key in found:
                key.file.unlink(missing_ok=True)
        except OSError as error:
            raise SettingsError(f"{self._folder} can't be written: {error.strerror}.") from error
        self.changed.notify(self.listed())

    def name_of(self, given: bytes) -> str | None:
        """The name of the key that `given` is, whose use is noted; None if it is none."""
        digest = _digest(given)
        found: _Stored | None = None
        # To the end in any case: how long it takes says nothing of the keys there are.
        for key in self._stored():
            if hmac.compare_digest(key.digest, digest):
                found = key
        if found is None:
            return None
        self._note_use(found)
        return found.name

    def _stored(self) -> tuple[_Stored, ...]:
        """Read anew whenever the folder has changed."""
        try:
            changed_ns = self._folder.stat().st_mtime_ns
        except OSError:
            self._seen_ns, self._known = -1, ()
            return ()
        if changed_ns != self._seen_ns:
            self._known = tuple(sorted(_read(self._folder), key=lambda key: (key.created, key.name)))
            self._seen_ns = changed_ns if time.time_ns() - changed_ns > _TICK_NS else -1
        return self._known

    def _write(self, name: str, digest: str) -> None:
        """In one step, and readable by nobody else from the first moment on."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, new = tempfile.mkstemp(dir=self._folder, suffix=".new")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump({"name": name, "created": datetime.now(UTC).isoformat()}, stream)
            os.utime(new, (0, 0))
            Path(new).replace(self._folder / f"{digest}.json")
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise

    def _note_use(self, key: _Stored) -> None:
        now = time.monotonic()
        if now - self._noted.get(key.digest, -_NOTED_S) < _NOTED_S:
            return
        self._noted[key.digest] = now
        # A folder that can't be written is no reason to turn a caller away.
        with suppress(OSError):
            os.utime(key.file)


def _read(folder: Path) -> Iterator[_Stored]:
    """What is damaged opens nothing."""
    with suppress(OSError):
        for file in folder.glob("*.json"):
            with suppress(OSError, ValueError, LookupError, TypeError):
                told = json.loads(file.read_text("utf-8"))
                key = _Stored(str(told["name"]), datetime.fromisoformat(told["created"]), file)
                # Neither copies that a file manager made nor times that can't be put in order.
                if _DIGEST.fullmatch(key.digest) and key.created.tzinfo is not None:
                    yield key


def _last_used(file: Path) -> datetime | None:
    try:
        seconds = file.stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None


def _digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()
