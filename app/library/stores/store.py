"""What is found in a store of another program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from app.domain.models import ModelSource

__all__ = ["Store", "StoreFolder", "StoreModel", "StoreTrouble", "entries"]


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """A folder of files that can be told by name and header like those of our own.

    `place` stands before the folders within it where models are named; with `repository` "" the first two of these folders are
    the repository, if `holds_repositories`.
    """

    source: ModelSource
    folder: Path
    place: str = ""
    repository: str = ""
    holds_repositories: bool = False


@dataclass(frozen=True, slots=True)
class StoreModel:
    """A model whose file has a name that says nothing. `name` is what its program calls it; `sha256` "" if nobody told."""

    source: ModelSource
    name: str
    path: Path
    projectors: tuple[Path, ...] = ()
    draft: Path | None = None
    repository: str = ""
    sha256: str = ""
    license: str = ""
    problem: str | None = None
    instead: str = ""
    """What to get from the hub if llama.cpp can't load this."""


@dataclass(frozen=True, slots=True)
class StoreTrouble:
    """A store that is there but can't be read. `reason` is a sentence."""

    source: ModelSource
    folder: Path
    reason: str


Store: TypeAlias = StoreFolder | StoreModel | StoreTrouble


def entries(folder: Path, source: ModelSource) -> Iterator[Path | StoreTrouble]:
    """What a folder holds, in order of names; nothing for one that is not there."""
    try:
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        hint = "Allow your user to read it" if isinstance(error, PermissionError) else error.strerror or str(error)
        yield StoreTrouble(source, folder, f"{folder} can't be read. {hint}.")
        return
    for name in names:
        yield folder / name
