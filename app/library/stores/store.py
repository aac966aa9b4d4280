"""What is found in a store of another program."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from app.domain.models import ModelDefaults, ModelSource
from app.library.stores.permissions import why_unreadable

__all__ = ["Store", "StoreFolder", "StoreModel", "StoreTrouble"]


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """Files that can be told by name and header like those of our own.

    `folders` lie one over another: of files that have the same place in several, the first counts. `place` stands before the
    folders within where models are named; with `repository` "" the first two of these folders are the repository, if
    `holds_repositories`. Files of `flat_repositories` have these before their names, with underscores: `org_repository_file`.
    Files whose names begin with `unfinished` are still arriving, unless that is "".
    """

    source: ModelSource
    folders: tuple[Path, ...]
    place: str = ""
    repository: str = ""
    holds_repositories: bool = False
    flat_repositories: frozenset[str] = frozenset()
    unfinished: str = ""


@dataclass(frozen=True, slots=True)
class StoreModel:
    """A model whose file has a name that says nothing. `name` is what its program calls it; `sha256` "" if nobody told.

    `problem` is why it can't be used, where its program's notes tell; `size_bytes` counts then, if there is no one file.
    """

    source: ModelSource
    name: str
    path: Path
    projectors: tuple[Path, ...] = ()
    draft: Path | None = None
    adapters: tuple[Path, ...] = ()
    repository: str = ""
    sha256: str = ""
    license: str = ""
    problem: str | None = None
    size_bytes: int = 0
    defaults: ModelDefaults = field(default_factory=ModelDefaults)
    variant: str = ""
    """Tells models apart that have one file, but are meant to answer in different ways."""
    instead: str = ""
    """What to get from the hub if llama.cpp can't load this."""


@dataclass(frozen=True, slots=True)
class StoreTrouble:
    """A store, or a part of it, that is there but can't be read. `reason` is a sentence."""

    source: ModelSource
    folder: Path
    reason: str

    @classmethod
    def of(cls, source: ModelSource, folder: Path, error: OSError) -> StoreTrouble:
        return cls(source, folder, f"{folder} can't be read. {why_unreadable(folder, error)}")


Store: TypeAlias = StoreFolder | StoreModel | StoreTrouble
