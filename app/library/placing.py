"""Bringing files of this computer into our own folder: linked or copied, all of them or none."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from app.domain.errors import InvalidRequest, NotEnoughSpace
from app.library.disk_share import free_bytes

__all__ = ["copy_files", "link_files"]

_PIECE_BYTES: Final = 8 << 20
_RESERVE_BYTES: Final = 200_000_000


def link_files(files: Sequence[Path], folder: Path) -> list[Path]:
    """Give `files` second names in `folder`: they take no space, and stay if the first names go.

    On another disk a link to the first name is made instead. Raises InvalidRequest.
    """
    made: list[Path] = []
    try:
        for file, target in _targets(files, folder):
            try:
                target.hardlink_to(file.resolve())
            except OSError:
                target.symlink_to(file.resolve())
            made.append(target)
    except OSError as error:
        _take_back(made)
        message = f"{file.name} can't be linked to {folder}: {error.strerror or error}. Copy it, or use it where it is."
        raise InvalidRequest(message, param="how") from error
    return made


def copy_files(files: Sequence[Path], folder: Path, *, on_bytes: Callable[[int], None], stopped: threading.Event) -> list[Path]:
    """Copy `files` into `folder`; `on_bytes` is told how many have been copied. What `stopped` ends, leaves nothing behind.

    Raises InvalidRequest, NotEnoughSpace; InterruptedError when it was stopped.
    """
    targets = _targets(files, folder)
    needed_bytes = sum(file.stat().st_size for file in files)
    if needed_bytes + _RESERVE_BYTES > free_bytes(folder):
        raise NotEnoughSpace(needed_bytes=needed_bytes + _RESERVE_BYTES, free_bytes=free_bytes(folder), folder=folder)
    parts = [target.with_name(f"{target.name}.copy") for _, target in targets]
    done: list[Path] = []
    try:
        copied = 0
        for (file, _), part in zip(targets, parts, strict=True):
            copied = _copy(file, part, copied, on_bytes, stopped)
        for (_, target), part in zip(targets, parts, strict=True):
            part.replace(target)
            done.append(target)
    except OSError as error:
        _take_back([*parts, *done])
        if isinstance(error, InterruptedError):
            raise
        raise InvalidRequest(f"{folder} can't be written: {error.strerror or error}.", param="how") from error
    return done


def _copy(file: Path, part: Path, copied: int, on_bytes: Callable[[int], None], stopped: threading.Event) -> int:
    with file.open("rb") as source, part.open("wb") as target:
        while piece := source.read(_PIECE_BYTES):
            if stopped.is_set():
                raise InterruptedError
            target.write(piece)
            copied += len(piece)
            on_bytes(copied)
        target.flush()
        os.fsync(target.fileno())
    shutil.copystat(file, part)
    return copied


def _targets(files: Sequence[Path], folder: Path) -> list[tuple[Path, Path]]:
    """Raises InvalidRequest where something of that name is there already."""
    targets = [(file, folder / file.name) for file in files]
    for file, target in targets:
        if target.exists():
            raise InvalidRequest(f"There is a {file.name} in {folder} already.", param="path")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidRequest(f"{folder} can't be made: {error.strerror or error}.", param="how") from error
    return targets


def _take_back(files: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
    for folder in {file.parent for file in files}:
        try:
            folder.rmdir()
        except OSError:
            # Something else is in there.
            continue
