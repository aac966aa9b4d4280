"""Bringing everything in the models folder to another place, so that at any moment all of it is in one of the two."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.domain.errors import NotEnoughSpace, NotMovable
from app.library.disk_share import free_bytes
from app.library.file_lock import try_lock
from app.library.moving_mark import MOVING_MARK, MovingMark, is_moving
from app.library.trash import TRASH_FOLDER

__all__ = ["Relocation", "check_places", "holds_files", "place_for", "sweep_move"]

_STEP_BYTES: Final = 4 << 20
# As downloads leave.
_RESERVE_BYTES: Final = 200_000_000
_COMING: Final = ".moving"
_OWN_NAME: Final = "models"


@dataclass(frozen=True, slots=True)
class _Item:
    """A file, or a link, and where it goes."""

    source: Path
    target: Path
    size_bytes: int
    is_link: bool


class _Stopped(Exception):
    """Somebody thought better of it."""


class Relocation:
    """First `bring` everything, then have both folders listed, then `finish`, which takes it away from the old place.

    On one disk files get a second name and nothing is copied; where that can't be done, `finish` renames them. Blocks on the
    disk; used by one thread at a time.
    """

    def __init__(self, old: Path, new: Path) -> None:
        self._old = old
        self._new = new
        # In both places: by us, and since an earlier move that was interrupted. The last are still to be renamed.
        self._brought: list[_Item] = []
        self._were_there: list[_Item] = []
        self._to_rename: list[_Item] = []
        self._mark = MovingMark(old)

    def bring(self, on_progress: Callable[[int, int], None], stop: threading.Event) -> bool:
        """False if it was stopped; then, and if it fails, nothing is left in the new place.

        Raises NotMovable, NotEnoughSpace.
        """
        check_places(self._old, self._new)
        self._mark.set(self._new)
        total = done = 0
        try:
            self._new.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._new):
                # It can be written.
                pass
            items = list(self._items())
            self._check_free(items)
            total = sum(item.size_bytes for item in items)
            for item in items:
                self._bring(item, done, total, on_progress, stop)
                done += item.size_bytes
                on_progress(done, total)
        except _Stopped:
            self.abandon()
            return False
        except OSError as error:
            self.abandon()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NotEnoughSpace(needed_bytes=total, free_bytes=free_bytes(self._new), folder=self._new) from error
            raise NotMovable(f"The models can't be moved to {self._new}: {error.strerror or error}.") from error
        except BaseException:
            self.abandon()
            raise
        return True

    def abandon(self) -> None:
        """Leave all where it was."""
        for item in self._brought:
            with contextlib.suppress(OSError):
                item.target.unlink(missing_ok=True)
        self._brought.clear()
        self._mark.remove()
        _remove_empty(self._new)

    def finish(self) -> tuple[Path, ...]:
        """Take everything away from the old place; return what the system keeps there, such as files in use."""
        left = []
        for item in (*self._brought, *self._were_there):
            try:
                item.source.unlink(missing_ok=True)
            except OSError:
                left.append(item.source)
        for item in self._to_rename:
            try:
                item.target.parent.mkdir(parents=True, exist_ok=True)
                item.source.rename(item.target)
            except OSError:
                left.append(item.source)
        self._mark.remove()
        _remove_empty(self._old)
        return tuple(left)

    def _items(self) -> Iterator[_Item]:
        """Raises NotMovable if something else is in the place of one."""
        for folder, folders, names in os.walk(self._old):
            place = Path(folder)
            links = [name for name in folders if (place / name).is_symlink()]
            folders[:] = [name for name in folders if name not in links and not (place == self._old and name == TRASH_FOLDER)]
            if place == self._old:
                names[:] = [name for name in names if name != MOVING_MARK]
            for name in (*names, *links):
                source = place / name
                target = self._new / source.relative_to(self._old)
                status = source.lstat()
                is_link = source.is_symlink()
                item = _Item(source, target, 0 if is_link else status.st_size, is_link)
                if self._is_same(source, target):
                    self._were_there.append(item)
                elif os.path.lexists(target):
                    raise NotMovable(f"{target} is there already. Choose an empty folder, or remove that file first.")
                else:
                    yield item

    def _is_same(self, source: Path, target: Path) -> bool:
        """Whether an earlier move brought it."""
        with contextlib.suppress(OSError):
            if source.is_symlink():
                return target.is_symlink() and self._goal(source) == target.readlink()
            ours, theirs = source.lstat(), target.lstat()
            if ours.st_ino and (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino):
                return True
            # A copy gets the time of its original last.
            return (ours.st_size, ours.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns)
        return False

    def _goal(self, link: Path) -> Path:
        """Where a link is to lead from the new place; what lies in the old one will be there too."""
        goal = Path(os.path.normpath(link.parent.resolve() / link.readlink()))
        top = self._old.resolve()
        return self._new / goal.relative_to(top) if top in goal.parents else goal

    def _check_free(self, items: list[_Item]) -> None:
        for item in items:
            if item.source.name.endswith(".part") and not _is_idle(item.source):
                raise NotMovable("A download is under way. Pause it first, and go on with it when the models have been moved.")
        if items and self._old.stat().st_dev != self._new.stat().st_dev:
            needed, free = sum(item.size_bytes for item in items) + _RESERVE_BYTES, free_bytes(self._new)
            if needed > free:
                raise NotEnoughSpace(needed_bytes=needed, free_bytes=free, folder=self._new)

    def _bring(
        self, item: _Item, done: int, total: int, on_progress: Callable[[int, int], None], stop: threading.Event
    ) -> None:
        item.target.parent.mkdir(parents=True, exist_ok=True)
        if item.is_link:
            item.target.symlink_to(self._goal(item.source))
            self._brought.append(item)
            return
        try:
            os.link(item.source, item.target)
            self._brought.append(item)
        except OSError as error:
            if error.errno == errno.EXDEV or self._old.stat().st_dev != self._new.stat().st_dev:
                _copy(item, lambda n: on_progress(done + n, total), stop)
                self._brought.append(item)
            else:
                self._to_rename.append(item)


def check_places(old: Path, new: Path) -> None:
    """Raise NotMovable unless the two folders lie beside each other."""
    here, there = old.resolve(), new.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise NotMovable(f"{new} and {old} are the same or lie within each other. Choose a folder beside it.")


def place_for(old: Path, chosen: Path) -> Path:
    """Where the files go if a person chooses a folder: into one of their own if other things lie there."""
    ours = _visible(old)
    # What an earlier move brought that was interrupted is no other thing.
    others = {name for name in _visible(chosen) if name not in ours and name.removesuffix(_COMING) not in ours}
    return chosen / _OWN_NAME if others else chosen


def sweep_move(ours: Path) -> None:
    """Delete the unfinished copies of a killed move out of our own folder; the whole ones serve when it is moved again."""
    if is_moving(ours):
        return
    with contextlib.suppress(OSError):
        mark = ours / MOVING_MARK
        told = mark.read_bytes()
        new = Path(os.fsdecode(told))
        # Its disk may be away.
        if told and not new.is_dir():
            return
        for folder, _, names in os.walk(ours) if told else ():
            for name in names:
                (new / Path(folder).relative_to(ours) / f"{name}{_COMING}").unlink(missing_ok=True)
        mark.unlink()


def _visible(folder: Path) -> set[str]:
    with contextlib.suppress(OSError):
        return {name for name in os.listdir(folder) if not name.startswith(".")}
    return set()


def holds_files(folder: Path) -> bool:
    """Whether any are left there, however deep."""
    return any(names for _, _, names in os.walk(folder))


def _is_idle(part: Path) -> bool:
    descriptor = os.open(part, os.O_RDWR)
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)


def _copy(item: _Item, on_read: Callable[[int], None], stop: threading.Event) -> None:
    """Whole or not at all, and on the disk when it returns."""
    coming = item.target.with_name(item.target.name + _COMING)
    try:
        with item.source.open("rb", buffering=0) as source, coming.open("wb", buffering=0) as target:
            done = 0
            while piece := source.read(_STEP_BYTES):
                if stop.is_set():
                    raise _Stopped
                view = memoryview(piece)
                while view:
                    view = view[target.write(view) :]
                done += len(piece)
                on_read(done)
            os.fsync(target.fileno())
        shutil.copystat(item.source, coming)
        coming.replace(item.target)
    except BaseException:
        coming.unlink(missing_ok=True)
        raise


def _remove_empty(top: Path) -> None:
    for folder, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
