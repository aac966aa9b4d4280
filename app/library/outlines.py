"""Outlines of models on this disk and on the hub, made once and kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

from app.domain.errors import NotAModel
from app.library.names import shard_of
from app.library.outline import Outline, outline_of, write_outline

__all__ = ["Outlines"]

# They take some ten kilobytes each.
_MAX_KEPT: Final = 1000
_MAX_SHARDS: Final = 999


class Outlines:
    """A folder of outlines, each called by a key that no other model has. Blocking; on any thread, and in several programs."""

    def __init__(self, folder: Path, *, most: int = _MAX_KEPT) -> None:
        self._folder = folder
        self._most = most

    def of_model(self, path: Path) -> Path:
        """The outline of a model on this disk, given its first file. Raises NotAModel, and OSError if it can't be kept."""
        parts = _shards_of(path)
        try:
            stamps = [(str(part), (status := part.stat()).st_size, status.st_mtime_ns) for part in parts]
        except OSError as error:
            raise NotAModel(path, f"it can't be read: {error.strerror or error}.") from error
        key = hashlib.sha256(repr(stamps).encode("utf-8", "surrogateescape")).hexdigest()
        return self.known(key) or self.keep(key, outline_of(parts))

    def known(self, key: str) -> Path | None:
        path = self._path(key)
        try:
            # What is in use stays the longest.
            os.utime(path)
        except OSError:
            return None
        return path

    def keep(self, key: str, outline: Outline) -> Path:
        """Raises OSError."""
        path = self._path(key)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room()
        write_outline(outline, path)
        return path

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.gguf"

    def _make_room(self) -> None:
        """Without the half that was not used for the longest time, once there are too many."""
        with contextlib.suppress(OSError):
            kept = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
            for path in kept[: len(kept) // 2] if len(kept) >= self._most else ():
                path.unlink(missing_ok=True)


def _shards_of(path: Path) -> tuple[Path, ...]:
    shard = shard_of(path.stem)
    if shard is None or not 1 < shard.count <= _MAX_SHARDS:
        return (path,)
    names = (f"{shard.stem}-{number:05d}-of-{shard.count:05d}{path.suffix}" for number in range(1, shard.count + 1))
    return tuple(path.with_name(name) for name in names)
