"""Reading the folders: every model on this machine, each with an id of its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from app.domain.models import InstalledModel, ModelSource
from app.library.assemble import Assembled, assemble
from app.library.headers import GgufFile, HeaderCache

__all__ = ["BUILT_IN_ID", "Listing", "Places", "list_models"]

BUILT_IN_ID: Final = "ember"
# Who gets the short id. A file given by path comes first: whoever gave it uses its stem.
_ORDER: Final = (ModelSource.PATH, ModelSource.BUILT_IN, ModelSource.LIBRARY, ModelSource.FOLDER, ModelSource.ADDED)
_RANKS: Final = {
    source: rank for rank, source in enumerate((*_ORDER, *(other for other in ModelSource if other not in _ORDER)))
}
_GONE: Final = "The file is gone. Put it back, or remove it from the list."
_MAX_DEPTH: Final = 8
_MAX_FILES: Final = 20_000
# Somebody will choose their whole disk as a models folder.
_MAX_FOLDERS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look. `opened` and `added` are files, the rest of their folders is not listed; paths are absolute."""

    built_in: Path
    folders: tuple[Path, ...]
    added: tuple[Path, ...]
    opened: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Models, the built-in one first, then by name; `places` are their names with folders, in the same order."""

    models: tuple[InstalledModel, ...]
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    model: Assembled
    place: str
    source: ModelSource
    rank: int

    @property
    def path(self) -> Path:
        return self.model.shards[0].path


def list_models(places: Places, headers: HeaderCache) -> Listing:
    """Read everything. Takes milliseconds for files known to the cache; reads headers only, never weights."""
    found: dict[Path, _Found] = {}
    for item in _all(places, headers):
        known = found.setdefault(item.path.resolve(), item)
        if item.rank < known.rank:
            # A file of a models folder that was also opened by path stays what it is, but gets the short id.
            found[item.path.resolve()] = replace(known, rank=item.rank)
    items = tuple(found.values())
    listed = [(item.model.model(model_id, item.source), item.place) for item, model_id in zip(items, _ids(items), strict=True)]
    listed.sort(key=lambda pair: (pair[0].source is not ModelSource.BUILT_IN, pair[0].name.casefold(), pair[0].id.casefold()))
    headers.save()
    return Listing(tuple(model for model, _ in listed), tuple(place for _, place in listed))


def _all(places: Places, headers: HeaderCache) -> Iterator[_Found]:
    added = [file for path in places.added if (file := headers.file(path))]
    yield from _single(places.built_in, (), headers, ModelSource.BUILT_IN)
    for folder in places.folders:
        yield from _folder(folder, headers)
    for path in places.added:
        yield from _single(path, added, headers, ModelSource.ADDED)
    for path in places.opened:
        yield from _single(path, added, headers, ModelSource.PATH)


def _folder(folder: Path, headers: HeaderCache) -> Iterator[_Found]:
    files = [file for path in _walk(folder) if (file := headers.file(path))]
    for model in assemble(files, top=folder):
        place = (model.shards[0].path.parent / model.stem).relative_to(folder)
        yield _Found(model, place.as_posix(), ModelSource.LIBRARY, _RANKS[ModelSource.LIBRARY])


def _single(path: Path, added: Iterable[GgufFile], headers: HeaderCache, source: ModelSource) -> Iterator[_Found]:
    """The model that `path` is, or is a part of. Its shards and projector lie beside it; a projector also among `added`."""
    files = [file for sibling in {path, *_beside(path)} if (file := headers.file(sibling))]
    if all(file.path != path for file in files):
        files.append(GgufFile(path, 0, 0.0, None, _GONE))
    for model in assemble(files, more_projectors=added):
        if any(file.path == path for file in model.shards):
            yield _Found(model, f"{path.parent.name}/{model.stem}".lstrip("/"), source, _RANKS[source])


def _beside(path: Path) -> list[Path]:
    try:
        return sorted(entry for entry in path.parent.iterdir() if _is_candidate(entry))
    except OSError:
        return []


def _is_candidate(path: Path) -> bool:
    return path.suffix.casefold() == ".gguf" and not path.name.startswith(".")


def _walk(folder: Path) -> Iterator[Path]:
    """GGUF files below a folder; linked folders too, each once, and none that are hidden."""
    seen: set[Path] = set()
    n_files = 0
    for root, folders, names in os.walk(folder, followlinks=True):
        place = Path(root)
        real = place.resolve()
        if len(seen) >= _MAX_FOLDERS:
            return
        if real in seen or len(place.relative_to(folder).parts) > _MAX_DEPTH:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if _is_candidate(place / name):
                n_files += 1
                if n_files > _MAX_FILES:
                    return
                yield place / name


def _ids(items: Sequence[_Found]) -> list[str]:
    """The stem for whoever comes first by `_RANKS`; among equals the older file, so that a later download never takes over an
    id that clients use. The others are called by their place."""
    ids = [""] * len(items)
    taken: set[str] = set()
    order = sorted(range(len(items)), key=lambda at: (items[at].rank, items[at].model.shards[0].modified, str(items[at].path)))
    for at in order:
        item = items[at]
        stem = BUILT_IN_ID if item.source is ModelSource.BUILT_IN else item.model.stem
        numbered = (f"{item.place}-{number}" for number in itertools.count(2))
        ids[at] = next(name for name in itertools.chain((stem, item.place), numbered) if name.casefold() not in taken)
        taken.add(ids[at].casefold())
    return ids
