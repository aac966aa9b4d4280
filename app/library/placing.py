"""Bringing files of this computer into our own folder: linked or copied, all of them or none."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Final

from app.domain.errors import InvalidRequest, NotAModel
from app.library.disk_share import DiskShare
from app.library.file_lock import try_lock
from app.library.provenance import Provenance, forget_provenance, record_provenance

__all__ = ["IMPORTED", "Placing", "copy_files", "link_files", "sweep_copies"]

IMPORTED: Final = "imported"
"""The folder, in our own, for what came from no repository."""

_PIECE_BYTES: Final = 4 << 20
# Hidden, so that nothing in there is listed. On the disk of the models, so that a finished copy only gets another name.
_COMING: Final = ".coming"
_LOCK: Final = "lock"


@dataclass(frozen=True, slots=True)
class Placing:
    """A file and where it is to lie. `origin` is noted there; a hash that it tells must be the file's."""

    source: Path
    target: Path
    origin: Provenance


def link_files(items: Sequence[Placing]) -> None:
    """Give files second names: they take no space, and stay if the first names go.

    On another disk a link to the first name is made instead. Raises InvalidRequest.
    """
    _check_targets(items)
    with _Placed() as placed:
        for item in items:
            try:
                placed.make_folder(item.target.parent)
                _link(item.source.resolve(), item.target)
                placed.add(item.target)
                record_provenance(item.target, item.origin)
            except OSError as error:
                message = f"{item.source.name} can't be linked to {item.target.parent}: {_reason(error)}."
                raise InvalidRequest(f"{message} Copy it, or use it where it is.", param="how") from error
        placed.keep()


def copy_files(items: Sequence[Placing], ours: Path, *, on_bytes: Callable[[int], None], stopped: threading.Event) -> None:
    """Copy files to below `ours`, and note the hash of what was read; `on_bytes` is told how many bytes there are so far.

    No file is seen before all are on the disk. Raises InvalidRequest, NotAModel for a file that is damaged or changes
    meanwhile, NotEnoughSpace; InterruptedError when it was `stopped`.
    """
    _check_targets(items)
    needed_bytes = sum(item.origin.size_bytes for item in items)
    if (lacking := DiskShare().lacks(ours, needed_bytes)) is not None:
        raise lacking
    try:
        with _Placed() as placed, _coming(ours, placed) as folder:
            copies, copied = [], 0
            for number, item in enumerate(items):
                copies.append(_copied(item, folder / str(number), partial(_tell, on_bytes, copied), stopped))
                copied += item.origin.size_bytes
            for copy, item in copies:
                _settle(copy, item, placed)
            placed.keep()
    except InterruptedError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskShare().is_full(ours, needed_bytes) from error
        raise InvalidRequest(f"The copy to {ours} failed: {_reason(error)}.", param="how") from error


def sweep_copies(ours: Path) -> None:
    """Delete what copying left in our own folder that was killed."""
    with contextlib.suppress(OSError):
        for folder in (ours / _COMING).iterdir():
            with contextlib.suppress(OSError):
                with (folder / _LOCK).open("rb+") as lock:
                    left = try_lock(lock.fileno())
                if left:
                    shutil.rmtree(folder)
        (ours / _COMING).rmdir()


@contextmanager
def _coming(ours: Path, placed: _Placed) -> Iterator[Path]:
    """A folder for what is not whole yet; a lock in it tells other programs that somebody is at it."""
    folder = ours / _COMING / uuid.uuid4().hex
    placed.make_folder(folder)
    try:
        with (folder / _LOCK).open("xb") as lock:
            try_lock(lock.fileno())
            yield folder
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
            folder.parent.rmdir()


def _copied(item: Placing, copy: Path, on_bytes: Callable[[int], None], stopped: threading.Event) -> tuple[Path, Placing]:
    """The copy, and the item with the hash of what was read. Raises OSError, NotAModel, InterruptedError."""
    with item.source.open("rb", buffering=0) as source, copy.open("xb", buffering=0) as target:
        sha256, size_bytes = _pump(source, target, on_bytes, stopped)
        os.fsync(target.fileno())
        status = os.fstat(source.fileno())
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    if size_bytes != item.origin.size_bytes:
        raise NotAModel(item.source, "it changed while it was copied. Try again when it is complete.")
    if item.origin.sha256.casefold() not in ("", sha256):
        raise NotAModel(item.source, "it is damaged: it is not what was downloaded once. Download it anew.")
    return copy, replace(item, origin=replace(item.origin, sha256=sha256))


def _pump(source: FileIO, target: FileIO, on_bytes: Callable[[int], None], stopped: threading.Event) -> tuple[str, int]:
    """Each piece is hashed while it is written."""
    digest, buffer, copied = hashlib.sha256(), memoryview(bytearray(_PIECE_BYTES)), 0
    with ThreadPoolExecutor(1, "copy-hash") as hashing:
        while n_read := source.readinto(buffer):
            if stopped.is_set():
                raise InterruptedError
            hashed = hashing.submit(digest.update, buffer[:n_read])
            left = buffer[:n_read]
            while left:
                left = left[target.write(left) :]
            hashed.result()
            copied += n_read
            on_bytes(copied)
    return digest.hexdigest(), copied


def _tell(on_bytes: Callable[[int], None], before: int, copied: int) -> None:
    on_bytes(before + copied)


class _Placed:
    """What has been made so far. Leaving takes it back unless it was said to `keep` it."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._folders: list[Path] = []

    def __enter__(self) -> _Placed:
        return self

    def __exit__(self, *_raised: object) -> None:
        for file in self._files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
                forget_provenance(file)
        for folder in reversed(self._folders):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def make_folder(self, folder: Path) -> None:
        new = tuple(itertools.takewhile(lambda one: not one.exists(), (folder, *folder.parents)))
        folder.mkdir(parents=True, exist_ok=True)
        self._folders += reversed(new)

    def add(self, file: Path) -> None:
        self._files.append(file)

    def keep(self) -> None:
        self._files.clear()
        self._folders.clear()


def _settle(copy: Path, item: Placing, placed: _Placed) -> None:
    """Give a finished copy its name. Raises OSError."""
    placed.make_folder(item.target.parent)
    if os.path.lexists(item.target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    placed.add(item.target)
    # Before the file, so that nobody ever takes its folders for those of a repository.
    record_provenance(item.target, item.origin)
    copy.replace(item.target)


def _check_targets(items: Sequence[Placing]) -> None:
    """Raises InvalidRequest where something is there already, or two of them would be one."""
    for item in items:
        if os.path.lexists(item.target):
            raise InvalidRequest(f"There is a {item.target.name} in {item.target.parent} already.", param="path")
    for target, count in Counter(str(item.target).casefold() for item in items).most_common(1):
        if count > 1:
            raise InvalidRequest(f"{count} of the files would be {target}. Import them one after the other.", param="path")


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        target.symlink_to(source)


def _reason(error: OSError) -> str:
    named = f"{error.filename}: " if error.filename else ""
    return f"{named}{error.strerror or error}"
