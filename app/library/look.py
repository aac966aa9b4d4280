"""Reading folders and files, in a way that tells later whether they have changed since."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from app.library.headers import GgufFile, HeaderCache
from app.library.provenance import NOTE_NAME, Provenance

__all__ = ["Look", "Seen"]

_Stamp: TypeAlias = tuple[int, int, int]

_MAX_DEPTH: Final = 8
_MAX_FILES: Final = 20_000
# Somebody will choose their whole disk as a models folder.
_MAX_FOLDERS: Final = 50_000
# The coarsest clock of a file system (FAT's): two changes within it look like one.
_CLOCK_NS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What folders and files looked like. A file that is written into keeps its folder's time, so both are here."""

    stamps: Mapping[Path, _Stamp | None] = field(default_factory=dict)
    at_ns: int = 0

    def has_changed(self) -> bool:
        """Whether anything looks otherwise now, or was so new that more may have happened unseen. Blocks on the disk."""
        for path, stamp in self.stamps.items():
            if stamp is not None and abs(self.at_ns - stamp[0]) < _CLOCK_NS:
                return True
            if _stamp(path) != stamp:
                return True
        return False


class Look:
    """One reading of the disk, through a cache of headers. Used by one thread."""

    def __init__(self, headers: HeaderCache) -> None:
        self._headers = headers
        self._stamps: dict[Path, _Stamp | None] = {}
        self._notes: dict[Path, Mapping[str, Provenance]] = {}
        self._at_ns = time.time_ns()

    @property
    def seen(self) -> Seen:
        return Seen(self._stamps, self._at_ns)

    def stat(self, path: Path) -> os.stat_result:
        """Raises OSError."""
        self._stamps[path] = None
        status = path.stat()
        self._stamps[path] = _stamp_of(status)
        return status

    def file(self, path: Path) -> GgufFile | None:
        """A file with its header; None if it is gone."""
        try:
            status = self.stat(path)
        except (OSError, ValueError):
            return None
        return self._headers.file(path, status)

    def notes(self, folder: Path) -> Mapping[str, Provenance]:
        """What was noted of the files in a folder, by their names."""
        known = self._notes.get(folder)
        if known is None:
            known = self._notes[folder] = self._headers.notes.of(folder)
        return known

    def files(
        self,
        folder: Path,
        on_error: Callable[[OSError], None] = lambda _error: None,
        *,
        belongs: Callable[[str], bool] = lambda _name: True,
        depth: int = _MAX_DEPTH,
    ) -> list[GgufFile]:
        """Every GGUF file whose name `belongs`, below a folder and at most `depth` folders in it.

        `on_error` hears of folders that can't be read.
        """
        return [file for path in self._walk(folder, on_error, depth) if belongs(path.name) and (file := self.file(path))]

    def beside(self, path: Path) -> list[Path]:
        """The GGUF files in the folder of one."""
        folder = path.parent
        self._stamps.setdefault(folder, _stamp(folder))
        try:
            return sorted(entry for entry in folder.iterdir() if _is_candidate(entry.name))
        except OSError:
            return []

    def _walk(self, top: Path, on_error: Callable[[OSError], None], most: int) -> Iterator[Path]:
        """Linked folders too, each folder once, and none that are hidden."""
        folders: list[tuple[Path, int]] = [(top, 0)]
        seen: set[tuple[int, int]] = set()
        n_files = 0
        while folders and len(seen) < _MAX_FOLDERS:
            folder, depth = folders.pop()
            try:
                status = self.stat(folder)
                identity = (status.st_dev, status.st_ino)
                if identity in seen:
                    continue
                seen.add(identity)
                with os.scandir(folder) as found:
                    entries = sorted((entry.name, _is_folder(entry)) for entry in found)
            except OSError as error:
                on_error(error)
                continue
            if all(name != NOTE_NAME for name, _ in entries):
                self._notes[folder] = {}
            for name, is_folder in entries:
                if not is_folder and _is_candidate(name):
                    n_files += 1
                    if n_files > _MAX_FILES:
                        return
                    yield folder / name
            if depth < most:
                below = [name for name, is_folder in entries if is_folder and not name.startswith(".")]
                folders += [(folder / name, depth + 1) for name in reversed(below)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads in a circle, or to where one may not look.
        return False


def _is_candidate(name: str) -> bool:
    return name[-5:].casefold() == ".gguf" and not name.startswith(".")


def _stamp(path: Path) -> _Stamp | None:
    try:
        return _stamp_of(path.stat())
    except (OSError, ValueError):
        return None


def _stamp_of(status: os.stat_result) -> _Stamp:
    return (status.st_mtime_ns, status.st_size, status.st_ino)
