"""The mark in a folder whose files are being brought elsewhere: nothing is to be put there meanwhile, by no program."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from app.domain.errors import NotMovable
from app.library.file_lock import try_lock

__all__ = ["MOVING_MARK", "MovingMark", "is_moving"]

MOVING_MARK: Final = ".moving"


def is_moving(folder: Path) -> bool:
    """A mark that nobody holds was left by a program that was killed."""
    try:
        descriptor = os.open(folder / MOVING_MARK, os.O_RDWR)
    except OSError:
        return False
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


class MovingMark:
    """A locked file: the lock does not outlive its program. It tells where everything is brought."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / MOVING_MARK
        self._descriptor: int | None = None

    def set(self, new: Path) -> None:
        """Raises NotMovable if somebody else moves the folder. Where nothing can be written, nothing need be marked."""
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return
        if not try_lock(descriptor):
            os.close(descriptor)
            raise NotMovable("The models folder is being moved already.")
        self._descriptor = descriptor
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, os.fsencode(new))

    def remove(self) -> None:
        if self._descriptor is None:
            return
        os.close(self._descriptor)
        self._descriptor = None
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
