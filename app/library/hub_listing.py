"""What the files of a repository are, told by their names alone: their headers are not here yet."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from app.domain.models import RemoteFile, RemoteRepository
from app.library.names import quantization_in, shard_of
from app.library.projectors import PROJECTOR_PREFERENCE, core_name

__all__ = ["ListedFile", "group_files", "is_projector_name", "projector_for"]

# Not models to choose from: drafts that only speed up another model, and importance matrices. Models that were quantized with
# one may say so in their names.
_DRAFTS: Final = re.compile(r"^mtp-|^eagle3-|^dflash-|^dspark-", re.IGNORECASE)
_MATRIX: Final = re.compile(r"imatrix", re.IGNORECASE)
_PROJECTOR: Final = re.compile(r"mmproj", re.IGNORECASE)
_PROJECTOR_FOLDERS: Final = frozenset({"vision", "mmproj"})


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file as the hub lists it."""

    name: str
    size_bytes: int
    sha256: str | None


def group_files(files: Iterable[ListedFile]) -> tuple[RemoteFile, ...]:
    """The models and projectors among a repository's files, shards joined, the smallest first."""
    groups: defaultdict[tuple[PurePosixPath, int], list[ListedFile]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file.name)
        is_matrix = _MATRIX.search(path.name) and not quantization_in(path.stem)
        if path.suffix.casefold() != ".gguf" or is_matrix or _DRAFTS.search(path.name):
            continue
        shard = shard_of(path.stem)
        groups[(path.with_name(shard.stem), shard.count) if shard else (path, 0)].append(file)
    whole = (
        _joined(path, sorted(group, key=lambda file: file.name))
        for (path, count), group in groups.items()
        if count in (0, len(group))
    )
    return tuple(sorted(whole, key=lambda file: (file.size_bytes, file.label)))


def projector_for(repository: RemoteRepository, file: RemoteFile) -> RemoteFile | None:
    """The projector in the model's folder or the nearest above it; the closest name, then the usual precision, decide."""
    folder = PurePosixPath(file.label).parent
    stem = core_name(PurePosixPath(file.label).stem)

    def rank(projector: RemoteFile) -> tuple[int, float, int, str]:
        path = PurePosixPath(projector.label)
        precision = projector.quantization
        order = PROJECTOR_PREFERENCE.index(precision) if precision in PROJECTOR_PREFERENCE else len(PROJECTOR_PREFERENCE)
        closeness = difflib.SequenceMatcher(None, core_name(path.stem), stem).ratio()
        return (len(_home(path).parts), round(closeness, 2), -order, projector.label)

    near = (
        projector for projector in repository.projectors if _home(PurePosixPath(projector.label)) in (folder, *folder.parents)
    )
    return max(near, key=rank, default=None)


def is_projector_name(name: str) -> bool:
    """Whether a file of a repository is a projector, by its path there."""
    path = PurePosixPath(name)
    return bool(_PROJECTOR.search(path.name)) or path.parent.name.casefold() in _PROJECTOR_FOLDERS


def _home(projector: PurePosixPath) -> PurePosixPath:
    """The folder whose models a projector is for: above a folder that holds projectors only."""
    return projector.parent.parent if projector.parent.name.casefold() in _PROJECTOR_FOLDERS else projector.parent


def _joined(path: PurePosixPath, group: list[ListedFile]) -> RemoteFile:
    return RemoteFile(
        names=tuple(file.name for file in group),
        size_bytes=sum(file.size_bytes for file in group),
        quantization=quantization_in(path.name.removesuffix(path.suffix))
        or quantization_in(path.name)
        or quantization_in(path.parent.name),
        sha256=tuple(file.sha256 for file in group),
        sizes=tuple(file.size_bytes for file in group),
        is_projector=is_projector_name(str(path)),
    )
