"""Where an installed file came from: a small file in its folder, so that it moves with the models."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from app.library.file_lock import try_lock

__all__ = ["NOTE_NAME", "FolderNotes", "Provenance", "forget_provenance", "provenance_of", "record_provenance"]

NOTE_NAME: Final = ".hearth.json"
_FORMAT: Final = 1
# A program that was stopped in the middle must not keep the others from going on.
_PATIENCE_S: Final = 2.0
_LOOK_S: Final = 0.005
_WRITING: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Provenance:
    """`name` is the file's path in the repository; `sha256` "" where nobody told it."""

    repository: str
    revision: str
    name: str
    size_bytes: int
    sha256: str


def provenance_of(file: Path) -> Provenance | None:
    """What was noted when `file` was installed; None where nothing was, or the note can't be read."""
    return _valid(_entries(file.parent).get(file.name))


class FolderNotes:
    """What was noted in folders, read again only where a note changed. Used by one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], dict[str, Provenance]]] = {}

    def of(self, folder: Path) -> Mapping[str, Provenance]:
        """By the file's name, also of files that are gone."""
        try:
            status = (folder / NOTE_NAME).stat()
        except OSError:
            self._known.pop(folder, None)
            return {}
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._known.get(folder)
        if known is None or known[0] != stamp:
            notes = {name: note for name, entry in _entries(folder).items() if (note := _valid(entry))}
            known = self._known[folder] = (stamp, notes)
        return known[1]


def record_provenance(file: Path, provenance: Provenance) -> None:
    """Note where `file` came from. Raises OSError."""
    with _alone(file.parent):
        _write(file.parent, {**_entries(file.parent), file.name: asdict(provenance)})


def forget_provenance(file: Path) -> None:
    """Take `file` out of its folder's notes; the last one takes them along. Raises OSError."""
    with _alone(file.parent):
        entries = {name: entry for name, entry in _entries(file.parent).items() if name != file.name}
        if entries:
            _write(file.parent, entries)
        else:
            (file.parent / NOTE_NAME).unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While others, here and in other programs, wait with what they have to note."""
    with _WRITING, contextlib.ExitStack() as held:
        # Windows opens no folders: there two programs may still take notes from each other.
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            held.callback(os.close, descriptor)
            until = time.monotonic() + _PATIENCE_S
            while not try_lock(descriptor) and time.monotonic() < until:
                time.sleep(_LOOK_S)
        yield


def _valid(entry: object) -> Provenance | None:
    """A person may have been at the note with an editor."""
    try:
        note = Provenance(**entry) if isinstance(entry, dict) else None
    except TypeError:
        return None
    if note is None or not all(isinstance(value, str) for value in (note.repository, note.revision, note.name, note.sha256)):
        return None
    return note if isinstance(note.size_bytes, int) else None


def _entries(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        content = json.loads((folder / NOTE_NAME).read_text("utf-8"))
        if content["format"] == _FORMAT and isinstance(content["files"], dict):
            return content["files"]
    return {}


def _write(folder: Path, entries: dict[str, Any]) -> None:
    # Another program may be at it too.
    new = folder / f"{NOTE_NAME}.{os.getpid()}.new"
    new.write_text(json.dumps({"format": _FORMAT, "files": entries}, indent=1), "utf-8")
    new.replace(folder / NOTE_NAME)
