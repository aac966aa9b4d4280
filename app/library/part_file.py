"""A file that is still arriving: `<name>.part`, with what it is going to be in `<name>.part.json` beside it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from app.domain.errors import AlreadyDownloading, ChecksumMismatch
from app.library.file_lock import try_lock

__all__ = ["Expected", "PartFile", "already_there"]

_STEP_BYTES: Final = 8 << 20
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Expected:
    """What the hub promised of a file. Without a hash (small files only), the revision tells whether it is still the same."""

    name: str
    revision: str
    size_bytes: int
    sha256: str | None

    def same_content(self, other: Expected) -> bool:
        if self.size_bytes != other.size_bytes or self.sha256 != other.sha256:
            return False
        return self.sha256 is not None or (self.name, self.revision) == (other.name, other.revision)


class PartFile:
    """Writes, hashes and finally installs one file. Every method may block on the disk, none for long; one thread at a time."""

    def __init__(self, target: Path, expected: Expected) -> None:
        self.target = target
        self.expected = expected
        self.etag = ""
        self.have_bytes = 0
        self.taken_up = False
        self._part = target.with_name(f"{target.name}.part")
        self._state = target.with_name(f"{target.name}.part.json")
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._hashed_bytes = 0

    @property
    def complete(self) -> bool:
        return self.have_bytes == self.expected.size_bytes

    def on_disk_bytes(self) -> int:
        """How much of it an earlier run left, if that can be used."""
        if self._read_state() is None:
            return 0
        try:
            return min(self._part.stat().st_size, self.expected.size_bytes)
        except OSError:
            return 0

    def open(self) -> None:
        """Open what an earlier run left, or begin. `rehash_step` must be called until it returns False.

        Raises AlreadyDownloading if another process has it open.
        """
        self.target.parent.mkdir(parents=True, exist_ok=True)
        file = self._open_locked(os.O_CREAT)
        if file is None:
            raise AlreadyDownloading(f"{self.expected.name} is being downloaded by another Hearth.")
        usable = self.on_disk_bytes()
        self.etag = (self._read_state() or "") if usable else ""
        self._file = file
        self._file.truncate(usable)
        self.have_bytes = usable
        self.taken_up = usable > 0
        self._write_state()

    def rehash_step(self) -> bool:
        """Hash the next piece of what is there already; False when there is none left."""
        if self._hashed_bytes >= self.have_bytes:
            return False
        file = self._opened()
        file.seek(self._hashed_bytes)
        piece = file.read(min(_STEP_BYTES, self.have_bytes - self._hashed_bytes))
        self._hash.update(piece)
        self._hashed_bytes += len(piece)
        if not piece:
            # Something else cut the file meanwhile.
            self.have_bytes = self._hashed_bytes
        file.seek(self.have_bytes)
        return self._hashed_bytes < self.have_bytes

    def begin_transfer(self, etag: str, *, start_over: bool) -> None:
        """Note the server's version of the file; `start_over` drops what was there."""
        if start_over:
            file = self._opened()
            file.seek(0)
            file.truncate()
            self.have_bytes = self._hashed_bytes = 0
            self.taken_up = False
            self._hash = hashlib.sha256()
        if etag != self.etag:
            self.etag = etag
            self._write_state()

    def write(self, data: bytes) -> None:
        """Append. Raises OSError when the disk is full; what was written before stays."""
        view = memoryview(data)
        file = self._opened()
        while view:
            written = file.write(view) or 0
            self._hash.update(view[:written])
            self.have_bytes += written
            self._hashed_bytes += written
            view = view[written:]

    def verify(self) -> None:
        """Bring everything to the disk and compare it with the promise. Raises ChecksumMismatch."""
        os.fsync(self._opened().fileno())
        if self.expected.sha256 is not None and self._hash.hexdigest() != self.expected.sha256:
            raise ChecksumMismatch(f"{self.expected.name} arrived damaged: its checksum is not the one the hub lists.")
        if not self.complete:
            raise ChecksumMismatch(f"{self.expected.name} arrived with {self.have_bytes} of {self.expected.size_bytes} bytes.")

    def install(self) -> None:
        """Give the file its name, in one step."""
        self.close()
        self._part.replace(self.target)
        self._state.unlink(missing_ok=True)
        _sync_folder(self.target.parent)

    def close(self) -> None:
        """Keep what has arrived."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Delete what has arrived, unless another process works on it."""
        if self._file is None:
            try:
                self._file = self._open_locked(0)
            except FileNotFoundError:
                return
            if self._file is None:
                return
        self.close()
        self.have_bytes = self._hashed_bytes = 0
        self._hash = hashlib.sha256()
        self._part.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def _open_locked(self, flags: int) -> IO[bytes] | None:
        """None if another process has it open."""
        descriptor = os.open(self._part, os.O_RDWR | flags | getattr(os, "O_BINARY", 0), 0o644)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        if try_lock(descriptor):
            return file
        file.close()
        return None

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            raise ValueError("The part file is not open.")
        return self._file

    def _read_state(self) -> str | None:
        """The ETag of a usable part; None if there is none, or it belongs to another version of the file."""
        try:
            state = json.loads(self._state.read_text("utf-8"))
            if state["format"] == _FORMAT and self.expected.same_content(Expected(**state["expected"])):
                return str(state["etag"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None

    def _write_state(self) -> None:
        new = self._state.with_name(f"{self._state.name}.new")
        new.write_text(json.dumps({"format": _FORMAT, "expected": asdict(self.expected), "etag": self.etag}), "utf-8")
        new.replace(self._state)


def already_there(target: Path, expected: Expected) -> bool:
    """Whether the very file is installed. Reads all of it where there is a hash to compare."""
    try:
        if target.stat().st_size != expected.size_bytes:
            return False
        if expected.sha256 is None:
            return True
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected.sha256
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut; Windows has no way to, and needs none."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
