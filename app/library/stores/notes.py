"""Small files in which programs note where things are and what they are."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, TypeVarTuple, cast

from app.domain.models import ModelSource
from app.library.stores.store import StoreTrouble

__all__ = ["NoteCache", "Notes", "json_object"]

_Parsed = TypeVar("_Parsed")
_More = TypeVarTuple("_More")

_MOST_BYTES: Final = 1 << 20


class NoteCache:
    """What was read before, to be read again only if it changed. Used by one thread at a time."""

    def __init__(self) -> None:
        self.known: dict[tuple[Path, Callable[..., object]], tuple[tuple[int, int, int], object]] = {}


class Notes:
    """One reading of notes and folders, which tells what it looked at, for who wants to know later whether that changed."""

    def __init__(self, cache: NoteCache, stat: Callable[[Path], os.stat_result]) -> None:
        """`stat` raises OSError."""
        self._cache = cache
        self._stat = stat

    def text(self, file: Path) -> str:
        """Raises OSError, and ValueError for what is no text of a sensible length."""
        return self.parsed(file, str)

    def json(self, file: Path) -> dict[str, Any]:
        """Raises OSError, and ValueError for anything but an object."""
        return self.parsed(file, json_object)

    def parsed(self, file: Path, parse: Callable[[str, *_More], _Parsed], *more: *_More) -> _Parsed:
        """What `parse` makes of a text, which is not to be changed. `more` is the same whenever a file is parsed so.

        Raises OSError, ValueError and what `parse` does.
        """
        status = self._stat(file)
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        before = self._cache.known.get((file, parse))
        if before is not None and before[0] == stamp:
            return cast("_Parsed", before[1])
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise ValueError("no small file")
        made = parse(file.read_text("utf-8").removeprefix("\ufeff"), *more)
        self._cache.known[file, parse] = (stamp, made)
        return made

    def entries(self, folder: Path, source: ModelSource) -> Iterator[Path | StoreTrouble]:
        """What a folder holds, in order of names; nothing for one that is not there."""
        try:
            self._stat(folder)
            with os.scandir(folder) as found:
                names = sorted(entry.name for entry in found)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            yield StoreTrouble.of(source, folder, error)
            return
        for name in names:
            yield folder / name

    def is_folder(self, path: Path) -> bool:
        """Also of one that may not be looked into: whoever tries to read it finds out why."""
        try:
            return stat.S_ISDIR(self._stat(path).st_mode)
        except PermissionError:
            return True
        except (OSError, ValueError):
            return False

    def is_file(self, path: Path) -> bool:
        """Raises OSError where it can't be told."""
        try:
            return stat.S_ISREG(self._stat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False


def json_object(text: str) -> dict[str, Any]:
    """Raises ValueError for anything else."""
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError("no object")
    return content
