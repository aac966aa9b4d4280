"""A file that is still arriving: `<name>.part`, with what it is going to be in `<name>.part.json` beside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from app.domain.errors import AlreadyDownloading, ChecksumMismatch
from app.library.byte_ranges import ByteRanges, Span
from app.library.file_lock import try_lock

__all__ = ["Expected", "PartFile", "PartWriter", "already_there"]

_STEP_BYTES: Final = 8 << 20
_FORMAT: Final = 2


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
    """Gathers, hashes and finally installs one file.

    What is there, `have`, belongs to the service loop, which hears of it from those who write. Every other method may block on
    the disk, and so runs on another thread: one at a time, but `hash_step` and `sync` may run beside each other and beside
    writers.
    """

    def __init__(self, target: Path, expected: Expected) -> None:
        self.target = target
        self.expected = expected
        self.etag = ""
        self.have = ByteRanges()
        self.taken_up = False
        self._part = target.with_name(f"{target.name}.part")
        self._state = target.with_name(f"{target.name}.part.json")
        self._new_state = target.with_name(f"{target.name}.part.json.new")
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self._hashed_bytes = 0
        self._buffer = bytearray(0)

    @property
    def have_bytes(self) -> int:
        return self.have.total

    @property
    def complete(self) -> bool:
        return self.have_bytes == self.expected.size_bytes

    @property
    def unhashed_bytes(self) -> int:
        """How many bytes `hash_step` can go on with."""
        return self.have.prefix - self._hashed_bytes

    @property
    def sha256(self) -> str:
        """The hash of all of it, once it is verified."""
        return self._hash.hexdigest()

    def on_disk_bytes(self) -> int:
        """How much of it an earlier run left, if that can be used."""
        found = self._read_state()
        return found[1].total if found else 0

    def taken_bytes(self) -> int:
        """How much room it takes already. On a full disk that is more than could be noted, and will be used again."""
        try:
            status = self._part.stat()
        except OSError:
            return 0
        # Where the system does not tell how much of a file with gaps is there (Windows), it fills them.
        taken: int = status.st_blocks * 512 if sys.platform != "win32" else status.st_size
        return min(taken, status.st_size, self.expected.size_bytes)

    def open(self) -> None:
        """Open what an earlier run left, or begin. Raises AlreadyDownloading if another process has it open."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        file = self._open_locked(os.O_CREAT)
        if file is None:
            raise AlreadyDownloading(f"{self.expected.name} is being downloaded by another Hearth.")
        found = self._read_state()
        self._file = file
        self.etag, self.have = found or ("", ByteRanges())
        self.taken_up = self.have_bytes > 0
        # Never longer than what is there of it, nor than the file is to be.
        file.truncate(self.have.spans[-1][1] if self.taken_up else 0)
        self._write_state(self.have.spans)

    def writer(self, offset: int) -> PartWriter:
        """Something to write with from there on. Any thread may have one of its own."""
        return PartWriter(self._part, offset)

    def hash_step(self) -> bool:
        """Hash the next piece of what is there without a gap; False when there is none left."""
        wanted = min(_STEP_BYTES, self.unhashed_bytes)
        if wanted <= 0:
            return False
        self._buffer = self._buffer or bytearray(_STEP_BYTES)
        view = memoryview(self._buffer)[:wanted]
        file = self._opened()
        file.seek(self._hashed_bytes)
        read = file.readinto(view)  # type: ignore[attr-defined]  # IO does not say that a raw file can.
        if not read:
            raise ChecksumMismatch(f"{self.expected.name} was changed by another program while it arrived.")
        self._hash.update(view[:read])
        self._hashed_bytes += read
        return self.unhashed_bytes > 0

    def sync(self, spans: Iterable[Span]) -> None:
        """Bring these spans to the disk for good, and note them: the next run begins with what was noted last."""
        os.fsync(self._opened().fileno())
        self._write_state(spans)

    def start_over(self) -> None:
        """Drop what is there; nobody may be writing."""
        self._opened().truncate(0)
        self.etag = ""
        self._forget()
        self._write_state(())

    def verify(self) -> None:
        """Bring everything to the disk and compare it with the promise. Raises ChecksumMismatch."""
        if not self.complete:
            raise ChecksumMismatch(f"{self.expected.name} arrived with {self.have_bytes} of {self.expected.size_bytes} bytes.")
        while self.hash_step():
            pass
        if self.expected.sha256 is not None and self._hash.hexdigest() != self.expected.sha256:
            raise ChecksumMismatch(f"{self.expected.name} arrived damaged: its checksum is not the one the hub lists.")
        self.sync(self.have.spans)

    def install(self) -> None:
        """Give the verified file its name, in one step."""
        self._close()
        self._part.replace(self.target)
        self._state.unlink(missing_ok=True)
        _sync_folder(self.target.parent)

    def close(self) -> None:
        """Keep what has arrived."""
        if self._file is not None:
            # On a full disk: what can't be noted is fetched again.
            with contextlib.suppress(OSError):
                self.sync(self.have.spans)
        self._close()

    def discard(self) -> None:
        """Delete what has arrived, unless another process works on it."""
        if self._file is None:
            try:
                self._file = self._open_locked(0)
            except FileNotFoundError:
                self._state.unlink(missing_ok=True)
                return
            if self._file is None:
                return
        self._close()
        self._forget()
        for file in (self._part, self._state, self._new_state):
            file.unlink(missing_ok=True)

    def _forget(self) -> None:
        self.have = ByteRanges()
        self.taken_up = False
        self._hash = hashlib.sha256()
        self._hashed_bytes = 0

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

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

    def _read_state(self) -> tuple[str, ByteRanges] | None:
        """The ETag and the spans of a usable part; None if there is none, or it belongs to another version of the file."""
        try:
            state = json.loads(self._state.read_text("utf-8"))
            if state["format"] != _FORMAT or not self.expected.same_content(Expected(**state["expected"])):
                return None
            size = min(self._part.stat().st_size, self.expected.size_bytes)
            spans = ((max(0, int(start)), min(int(end), size)) for start, end in state["have"])
            return str(state["etag"]), ByteRanges(spans)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write_state(self, spans: Iterable[Span]) -> None:
        state = {"format": _FORMAT, "expected": asdict(self.expected), "etag": self.etag, "have": list(spans)}
        with self._new_state.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(state))
        self._new_state.replace(self._state)


class PartWriter:
    """Writes from an offset on. `position` is where the next byte goes; others may read it at any time."""

    def __init__(self, part: Path, offset: int) -> None:
        self._file = os.fdopen(os.open(part, os.O_WRONLY | getattr(os, "O_BINARY", 0)), "wb", buffering=0)
        self._file.seek(offset)
        self.position = offset

    def write(self, data: bytes) -> None:
        """Raises OSError when the disk is full; what was written before stays."""
        written = self._file.write(data) or 0
        self.position += written
        while written < len(data):
            step = self._file.write(memoryview(data)[written:]) or 0
            written += step
            self.position += step

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


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
