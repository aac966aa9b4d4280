"""Downloads that are not finished, on the disk: what the next run of the program goes on with."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from app.domain.models import DownloadState, RemoteFile
from app.library.file_lock import try_lock

__all__ = ["DownloadRecord", "DownloadRecords"]

_FORMAT: Final = 1
_MOST_PROGRAMS: Final = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DownloadRecord:
    """What it takes to go on. `state` is QUEUED, PAUSED, FAILED, or CANCELLED for what is still to be deleted."""

    repository: str
    revision: str
    files: tuple[RemoteFile, ...]
    folder: Path
    state: DownloadState
    error: str | None = None

    @property
    def id(self) -> str:
        return f"{self.repository}/{self.files[0].label}"


class DownloadRecords:
    """One file for each program that runs, locked while it does: nobody writes into another's.

    `take` collects what programs have left that ended, however they ended. Methods block on the disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: IO[bytes] | None = None
        self._file = folder
        # What is in our file, but not for us to go on with.
        self._kept: tuple[DownloadRecord, ...] = ()

    def take(self, wanted: Callable[[DownloadRecord], bool] = lambda _: True) -> tuple[DownloadRecord, ...]:
        """Make the wanted records of programs that have ended ours. Raises OSError."""
        self._open()
        taken = [record for record in self._kept if wanted(record)]
        self._kept = tuple(record for record in self._kept if not wanted(record))
        for path in sorted(self._folder.glob("*.lock")):
            file = path.with_suffix(".json")
            if file == self._file or not file.exists():
                continue
            lock = _locked(path)
            if lock is None:
                continue
            with lock:
                left = _read(file)
                new = [record for record in left if wanted(record)]
                if new:
                    # Into our file first: a crash in between leaves a record twice, and not at all never.
                    taken += new
                    _write(self._file, (*taken, *self._kept))
                    _write(file, [record for record in left if not wanted(record)])
        return tuple({record.id: record for record in reversed(taken)}.values())[::-1]

    def write(self, records: Iterable[DownloadRecord]) -> None:
        """Replace ours in one step. Raises OSError."""
        self._open()
        _write(self._file, (*records, *self._kept))

    def close(self) -> None:
        """Leave them to whoever comes next."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _open(self) -> None:
        if self._lock is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(_MOST_PROGRAMS):
            lock = _locked(self._folder / f"{number}.lock")
            if lock is not None:
                self._lock = lock
                self._file = self._folder / f"{number}.json"
                self._kept = _read(self._file)
                return
        raise OSError(f"{self._folder} is in use by {_MOST_PROGRAMS} other programs")


def _locked(path: Path) -> IO[bytes] | None:
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
    if try_lock(file.fileno()):
        return file
    file.close()
    return None


def _read(file: Path) -> tuple[DownloadRecord, ...]:
    """What is written there; a file that can't be understood is put aside."""
    try:
        content = json.loads(file.read_text("utf-8"))
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}")
        return tuple(_record(entry) for entry in content["downloads"])
    except FileNotFoundError:
        return ()
    except (ValueError, KeyError, TypeError, IndexError) as error:
        _log.warning("%s can't be understood (%s) and is put aside", file, error)
        file.replace(file.with_suffix(".bad"))
        return ()


def _record(entry: dict[str, Any]) -> DownloadRecord:
    files = tuple(_file(file) for file in entry["files"])
    if not files:
        raise ValueError("a download without files")
    return DownloadRecord(
        repository=str(entry["repository"]),
        revision=str(entry["revision"]),
        files=files,
        folder=Path(entry["folder"]),
        state=DownloadState(entry["state"]),
        error=entry["error"],
    )


def _file(entry: dict[str, Any]) -> RemoteFile:
    # JSON knows no tuples.
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    return RemoteFile(**fields)


def _for_us_alone(path: str, flags: int) -> int:
    # An address of a file may hold a key to it.
    return os.open(path, flags, 0o600)


def _write(file: Path, records: Iterable[DownloadRecord]) -> None:
    entries = [{**asdict(record), "folder": str(record.folder)} for record in records]
    if not entries:
        file.unlink(missing_ok=True)
        return
    new = file.with_suffix(".new")
    with open(new, "w", encoding="utf-8", opener=_for_us_alone) as stream:
        json.dump({"format": _FORMAT, "downloads": entries}, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
