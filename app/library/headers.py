"""Headers of files that were read before."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from app.domain.errors import NotAModel
from app.library.gguf import GgufHeader, GgufKind, Pooling, read_header
from app.library.provenance import FolderNotes

__all__ = ["GgufFile", "HeaderCache"]

# Raise it when GgufHeader, or how it is read, changes.
_FORMAT: Final = 5
_Stamp: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A file on this disk. `problem` is a sentence; `header` is None if it could not be read, but not if the file is cut.

    `identity` is what all names of it have in common, None where the file system numbers no files.
    """

    path: Path
    size_bytes: int
    modified: float
    header: GgufHeader | None
    problem: str | None
    identity: tuple[int, int] | None = None


class HeaderCache:
    """Reads a file's header again only if its size or time changed; keeps what it knows in a file of its own. What was noted of
    the files in a folder it reads again only if the note changed.

    Used by one thread at a time. A cache that can't be read or written costs time, nothing else.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[Path, tuple[_Stamp, GgufHeader | str]] | None = None
        self._saved = True
        self.notes = FolderNotes()

    def file(self, path: Path, status: os.stat_result | None = None) -> GgufFile | None:
        """A file with its header, or what is wrong with it; None if it is gone. `status` if it was looked up just now."""
        try:
            status = status or path.stat()
        except OSError:
            return None
        stamp = (status.st_size, status.st_mtime_ns)
        identity = (status.st_dev, status.st_ino) if status.st_ino else None
        known = self._read_once()
        entry = known.get(path)
        if entry is None or entry[0] != stamp:
            try:
                entry = known[path] = (stamp, _header_or_reason(path))
            except NotAModel as error:
                # It may be readable tomorrow without any change to the file.
                return GgufFile(path, status.st_size, status.st_mtime, None, _sentence(error.reason), identity)
            self._saved = False
        header = entry[1]
        if isinstance(header, str):
            return GgufFile(path, status.st_size, status.st_mtime, None, _sentence(header), identity)
        return GgufFile(path, status.st_size, status.st_mtime, header, _what_is_missing(header, status.st_size), identity)

    def save(self) -> None:
        """Write what was learned, without the files that are gone."""
        if self._saved or self._known is None:
            return
        self._known = {path: entry for path, entry in self._known.items() if os.path.exists(path)}
        entries = {
            str(path): [*stamp, dataclasses.asdict(header) if isinstance(header, GgufHeader) else header]
            for path, (stamp, header) in self._known.items()
        }
        new = self._file.with_suffix(f".{os.getpid()}.new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps({"format": _FORMAT, "headers": entries}), "utf-8")
            new.replace(self._file)
        except OSError:
            return
        self._saved = True

    def _read_once(self) -> dict[Path, tuple[_Stamp, GgufHeader | str]]:
        if self._known is None:
            try:
                content = json.loads(self._file.read_text("utf-8"))
                entries = content["headers"].items() if content["format"] == _FORMAT else ()
                self._known = {Path(path): ((int(size), int(time)), _header_of(saved)) for path, (size, time, saved) in entries}
            except (OSError, ValueError, TypeError, KeyError, AttributeError):
                self._known = {}
        return self._known


def _header_or_reason(path: Path) -> GgufHeader | str:
    """Raises NotAModel only if the system, not the content, is in the way."""
    try:
        return read_header(path)
    except NotAModel as error:
        if isinstance(error.__cause__, OSError):
            raise
        return error.reason


def _sentence(reason: str) -> str:
    return reason[:1].upper() + reason[1:]


def _header_of(saved: dict[str, Any] | str) -> GgufHeader | str:
    if isinstance(saved, str):
        return saved
    pooling = saved["pooling"]
    fixed = {
        "kind": GgufKind(saved["kind"]),
        "pooling": None if pooling is None else Pooling(pooling),
        "widths": tuple(saved["widths"]),
    }
    return GgufHeader(**{**saved, **fixed})


def _what_is_missing(header: GgufHeader, size_bytes: int) -> str | None:
    if size_bytes >= header.needed_bytes:
        return None
    return (
        f"It is incomplete: {size_bytes / 1e6:,.1f} of at least {header.needed_bytes / 1e6:,.1f} MB are there. "
        "Download or copy it again."
    )
