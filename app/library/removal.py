"""Deleting a model's files from our own folder, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.domain.errors import NotRemovable

__all__ = ["delete_files"]


def delete_files(name: str, files: Sequence[Path], ours: Path) -> int:
    """Delete `files` and the folders that this empties, up to `ours`; return the bytes freed.

    Raises NotRemovable before anything is deleted if one of them lies elsewhere, and when the system refuses.
    """
    top = ours.resolve()
    for file in files:
        # The folder is resolved, the file is not: of a link in our folder, the link is ours and its target is not.
        if top not in (file.parent.resolve() / file.name).parents:
            raise NotRemovable(
                f"{name} is in {file.parent}, which is not Hearth's own folder. Delete it there if you don't need it."
            )
    freed = 0
    for file in files:
        try:
            size_bytes = file.lstat().st_size
            file.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise NotRemovable(f"{file.name} can't be deleted: {error.strerror}. Is it in use?") from error
        freed += size_bytes
    for file in files:
        _remove_empty(file.parent.resolve(), top)
    return freed


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and top in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
