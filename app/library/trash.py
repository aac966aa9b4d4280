"""Taking a model's files out of our own folder, in a way that can be undone until the program closes."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import stat
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.domain.errors import NotRemovable, NotRestorable
from app.library.file_lock import try_lock
from app.library.provenance import Provenance, forget_provenance, provenance_of, record_provenance

__all__ = ["TRASH_FOLDER", "Trash", "check_ours", "freed_bytes"]

_log = logging.getLogger(__name__)
TRASH_FOLDER: Final = ".hearth-trash"
_LOCK: Final = "lock"
_REMOVAL_ID: Final = re.compile(r"^[0-9a-f]{32}$")


@dataclass(frozen=True, slots=True)
class _Taken:
    """One file: where it was, where it is now, and what was noted of it."""

    original: Path
    moved: Path
    provenance: Provenance | None


@dataclass(slots=True)
class _Removed:
    top: Path
    folder: Path
    lock: int
    files: list[_Taken] = field(default_factory=list)


class Trash:
    """Files wait in `<models folder>/.hearth-trash/<id>`: on the same disk, so that nothing is copied.

    A lock in there is held while the program lives that put them there; whoever finds it free deletes the rest of a program
    that was killed. Used by one thread at a time.
    """

    def __init__(self) -> None:
        self._removed: dict[str, _Removed] = {}

    def put(self, name: str, files: Sequence[Path], ours: Path) -> str:
        """Take `files` of the model `name` out of the folder `ours`, and folders that this empties; return what to undo it by.

        All or none. Raises NotRemovable if one lies elsewhere, and when the system refuses.
        """
        top = ours.resolve()
        check_ours(name, files, top)
        removal_id = uuid.uuid4().hex
        removed = self._open(name, top, removal_id)
        try:
            for at, file in enumerate(files):
                moved = removed.folder / f"{at}-{file.name}"
                taken = _Taken(file, moved, provenance_of(file))
                with contextlib.suppress(FileNotFoundError):
                    file.rename(moved)
                    removed.files.append(taken)
        except OSError as error:
            _put_back(removed)
            self._delete(removed)
            raise NotRemovable(_refusal(error, file, top)) from error
        for taken in removed.files:
            _forget(taken)
            _remove_empty(taken.original.parent.resolve(), top)
        self._removed[removal_id] = removed
        return removal_id

    def restore(self, removal_id: str) -> None:
        """Put everything back where it was, or nothing. Raises NotRestorable."""
        removed = self._removed.get(removal_id)
        if removed is None:
            raise NotRestorable("It was deleted for good and can't be brought back.")
        for taken in removed.files:
            if taken.original.exists():
                raise NotRestorable(f"{taken.original} is there again. Remove or rename that file first.")
        try:
            for taken in removed.files:
                taken.original.parent.mkdir(parents=True, exist_ok=True)
                taken.moved.rename(taken.original)
        except OSError as error:
            _take_again(removed)
            raise NotRestorable(f"{taken.original} can't be put back: {error.strerror}.") from error
        for taken in removed.files:
            if taken.provenance is not None:
                with contextlib.suppress(OSError):
                    record_provenance(taken.original, taken.provenance)
        self._delete(removed)
        del self._removed[removal_id]

    def empty(self) -> None:
        """Delete for good. What can't be deleted yet, because it is in use, goes when the next program starts."""
        for removed in self._removed.values():
            self._delete(removed)
        self._removed.clear()

    @staticmethod
    def sweep(ours: Path) -> None:
        """Delete what programs left in `ours` that came to no orderly end."""
        try:
            folders = list((ours / TRASH_FOLDER).iterdir())
        except OSError:
            return
        for folder in folders:
            # Whatever else somebody put there is theirs.
            if not _REMOVAL_ID.match(folder.name):
                continue
            with contextlib.suppress(OSError):
                lock = _locked(folder, os.O_RDWR)
                if lock is not None:
                    _log.info("What was removed before is deleted: %s", folder)
                    _close_and_delete(lock, folder)
        with contextlib.suppress(OSError):
            (ours / TRASH_FOLDER).rmdir()

    def _open(self, name: str, top: Path, removal_id: str) -> _Removed:
        folder = top / TRASH_FOLDER / removal_id
        try:
            folder.mkdir(parents=True)
            lock = _locked(folder, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise NotRemovable(f"{name} can't be removed: {top} can't be written ({error.strerror}).") from error
        if lock is None:
            raise NotRemovable(f"{name} can't be removed: another program looks into {folder}. Try again.")
        return _Removed(top, folder, lock)

    @staticmethod
    def _delete(removed: _Removed) -> None:
        _close_and_delete(removed.lock, removed.folder)
        with contextlib.suppress(OSError):
            removed.folder.parent.rmdir()


def check_ours(name: str, files: Sequence[Path], ours: Path) -> None:
    """Raise NotRemovable if one of `files` is not in `ours`."""
    top = ours.resolve()
    for file in files:
        # The folder is resolved, the file is not: of a link in our folder, the link is ours and its target is not.
        if top not in (file.parent.resolve() / file.name).parents:
            raise NotRemovable(
                f"{name} is in {file.parent}, which is not Hearth's own folder. Delete it there if you don't need it."
            )


def freed_bytes(files: Sequence[Path]) -> int:
    """What deleting `files` gives back to the disk: nothing for links, and for files that have another name as well."""
    freed = 0
    for file in files:
        with contextlib.suppress(OSError):
            status = file.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink < 2:
                freed += status.st_size
    return freed


def _locked(folder: Path, flags: int) -> int | None:
    """An open lock; None if another program holds it. Raises OSError."""
    descriptor = os.open(folder / _LOCK, flags, 0o600)
    if try_lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _close_and_delete(lock: int, folder: Path) -> None:
    # Windows deletes no open file. Whoever gets in between wants the same.
    os.close(lock)
    shutil.rmtree(folder, ignore_errors=True)


def _forget(taken: _Taken) -> None:
    if taken.provenance is not None:
        with contextlib.suppress(OSError):
            forget_provenance(taken.original)


def _put_back(removed: _Removed) -> None:
    for taken in removed.files:
        with contextlib.suppress(OSError):
            taken.moved.rename(taken.original)


def _take_again(removed: _Removed) -> None:
    """After a restoring that failed midway: what was put back goes where it came from."""
    for taken in removed.files:
        if not taken.moved.exists():
            with contextlib.suppress(OSError):
                taken.original.rename(taken.moved)
        _remove_empty(taken.original.parent, removed.top)


def _refusal(error: OSError, file: Path, top: Path) -> str:
    if error.errno == errno.EXDEV:
        return f"{file} lies on another disk than {top}, which it is mounted in. Delete it there if you don't need it."
    return f"{file.name} can't be removed: {error.strerror}. Is it in use?"


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and top in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
