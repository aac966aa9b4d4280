"""Reading the folders: every model on this machine, each with an id of its own."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from app.domain.models import InstalledModel, MissingPart, ModelSource
from app.library.assemble import Assembled, assemble
from app.library.catalogue import Catalogue
from app.library.gguf import GgufKind
from app.library.headers import GgufFile, HeaderCache
from app.library.look import Look, Seen
from app.library.missing import missing_parts
from app.library.projectors import best_projector
from app.library.stores import Store, StoreFolder, StoreModel, StoreTrouble
from app.library.stores.formats import foreign_format

__all__ = ["BUILT_IN_ID", "Listing", "Places", "list_models", "models_at"]

BUILT_IN_ID: Final = "ember"
# Who gets the short id. A file given by path comes first: whoever gave it uses its stem.
_ORDER: Final = (ModelSource.PATH, ModelSource.BUILT_IN, ModelSource.LIBRARY, ModelSource.FOLDER, ModelSource.ADDED)
_RANKS: Final = {
    source: rank for rank, source in enumerate((*_ORDER, *(other for other in ModelSource if other not in _ORDER)))
}
_GONE: Final = "The file is gone. Put it back, or remove it from the list."
_SHA256_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look. `library` is our own folder, `folders` are others; `opened` and `added` are files, the rest of
    their folders is not listed. Paths are absolute.

    `stores` gives what other programs have. It is asked anew each time, on the thread that reads. `catalogue` knows which
    models have a projector.
    """

    built_in: Path
    library: Path
    folders: tuple[Path, ...]
    added: tuple[Path, ...]
    opened: tuple[Path, ...]
    stores: Callable[[], Iterable[Store]] = tuple
    catalogue: Catalogue | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Models, the built-in one first, then by name; `places` are their names with folders, in the same order.

    `troubles` are stores of other programs that can't be read. `seen` tells whether it is still right.
    """

    models: tuple[InstalledModel, ...]
    places: tuple[str, ...]
    troubles: tuple[StoreTrouble, ...] = ()
    seen: Seen = field(default_factory=Seen)


@dataclass(frozen=True, slots=True)
class _Found:
    model: Assembled
    place: str
    source: ModelSource
    rank: int
    repository: str = ""
    sha256: str = ""
    draft: Path | None = None
    name: str = ""
    """What it is called where its file's name says nothing."""

    @property
    def path(self) -> Path:
        return self.model.shards[0].path

    @property
    def stem(self) -> str:
        return BUILT_IN_ID if self.source is ModelSource.BUILT_IN else self.name or self.model.stem

    def identities(self) -> Iterator[object]:
        """What it has in common with another name of the same file: links, hard links, a copy whose hash both stores tell."""
        try:
            status = self.path.stat()
        except OSError:
            yield self.path
        else:
            # Some file systems number nothing.
            yield (status.st_dev, status.st_ino) if status.st_ino else self.path.resolve()
        if self.sha256:
            yield self.sha256

    def with_projector(self, fetched: Iterable[GgufFile]) -> _Found:
        """With one of those that we have from its repository, where none lies beside it."""
        best = best_projector(self.model.shards[0], fetched) if self.model.projector is None else None
        return self if best is None else replace(self, model=replace(self.model, projector=best))

    def listed(self, model_id: str, missing: tuple[MissingPart, ...]) -> InstalledModel:
        return self.model.model(model_id, self.source, repository=self.repository, draft=self.draft, missing=missing)


def list_models(places: Places, headers: HeaderCache) -> Listing:
    """Read everything. Takes milliseconds for files known to the cache; reads headers only, never weights."""
    items: list[_Found] = []
    known: dict[object, int] = {}
    stores = tuple(places.stores())
    look = Look(headers)
    ours = look.files(places.library)
    for item in itertools.chain(_own(places, ours, look), _of_others(stores, look)):
        identities = tuple(item.identities())
        at = next((known[identity] for identity in identities if identity in known), len(items))
        if at == len(items):
            items.append(item)
        elif item.rank < items[at].rank:
            # A file of a models folder that was also opened by path stays what it is, but gets the short id.
            items[at] = replace(items[at], rank=item.rank)
        known |= dict.fromkeys(identities, at)
    items = [replace(item, repository=_repository(item, look)) for item in items]
    fetched = _fetched_projectors(ours, places.library, look)
    items = [item.with_projector(fetched.get(item.repository, ())) if item.repository else item for item in items]
    missing = [_missing(item, places, look) for item in items]
    listed = [
        (item.listed(model_id, parts), item.place) for item, model_id, parts in zip(items, _ids(items), missing, strict=True)
    ]
    listed.sort(key=lambda pair: (pair[0].source is not ModelSource.BUILT_IN, pair[0].name.casefold(), pair[0].id.casefold()))
    headers.save()
    troubles = tuple(store for store in stores if isinstance(store, StoreTrouble))
    return Listing(tuple(model for model, _ in listed), tuple(place for _, place in listed), troubles, look.seen)


def models_at(path: Path) -> tuple[InstalledModel, ...]:
    """The model that a file is a part of, or all models below a folder, as they would be listed; none if there is none."""
    # Nothing is to be remembered of files that are only looked at.
    look = Look(HeaderCache(Path(os.devnull)))
    if path.is_dir():
        found = tuple(_folder(path, look.files(path), ModelSource.FOLDER))
    else:
        found = tuple(_single(path, (), look, ModelSource.PATH))
    return tuple(item.listed(item.stem, ()) for item in found)


def _own(places: Places, ours: Sequence[GgufFile], look: Look) -> Iterator[_Found]:
    added = [file for path in places.added if (file := look.file(path))]
    yield from _single(places.built_in, (), look, ModelSource.BUILT_IN)
    yield from _folder(places.library, ours, ModelSource.LIBRARY)
    for folder in places.folders:
        yield from _folder(folder, look.files(folder), ModelSource.FOLDER)
    for path in places.added:
        yield from _single(path, added, look, ModelSource.ADDED)
    for path in places.opened:
        yield from _single(path, added, look, ModelSource.PATH)


def _repository(item: _Found, look: Look) -> str:
    """Where it came from: as its store or our notes say, else by the two folders that our own keeps a repository in."""
    note = look.notes(item.path.parent).get(item.path.name)
    if note is not None:
        return note.repository
    above = item.place.split("/")[:-1]
    return "/".join(above[:2]) if item.source is ModelSource.LIBRARY and len(above) >= 2 else item.repository


def _fetched_projectors(ours: Iterable[GgufFile], library: Path, look: Look) -> Mapping[str, list[GgufFile]]:
    """The projectors in our own folder, by repository: they also serve models that another program keeps."""
    fetched: defaultdict[str, list[GgufFile]] = defaultdict(list)
    for file in ours:
        if file.header is not None and file.header.kind is GgufKind.PROJECTOR:
            note = look.notes(file.path.parent).get(file.path.name)
            above = file.path.parent.relative_to(library).parts[:2]
            fetched[note.repository if note is not None else "/".join(above)].append(file)
    return fetched


def _missing(item: _Found, places: Places, look: Look) -> tuple[MissingPart, ...]:
    if item.source is ModelSource.BUILT_IN or (item.model.problem and not item.model.missing_shards):
        return ()
    folder, above = item.path.parent, item.place.split("/")[:-1]
    # In our own folder a projector may lie in any of the folders within it that lead to the model.
    near = (folder, *(folder.parents[up] for up in range(len(above) - 1))) if item.source is ModelSource.LIBRARY else (folder,)
    stem = item.place.rpartition("/")[2]
    entry = places.catalogue.model_of(stem, above[-1] if above else "") if places.catalogue is not None else None
    return missing_parts(item.model, {place: look.notes(place) for place in near}, entry, item.repository)


def _of_others(stores: Iterable[Store], look: Look) -> Iterator[_Found]:
    for store in stores:
        match store:
            case StoreFolder():
                yield from _store_folder(store, look)
            case StoreModel():
                yield from _store_model(store, look)
            case StoreTrouble():
                pass


def _folder(folder: Path, files: Iterable[GgufFile], source: ModelSource) -> Iterator[_Found]:
    for model in assemble(files, top=folder):
        place = (model.shards[0].path.parent / model.stem).relative_to(folder)
        yield _Found(model, place.as_posix(), source, _RANKS[source])


def _store_folder(store: StoreFolder, look: Look) -> Iterator[_Found]:
    for found in _folder(store.folder, look.files(store.folder), store.source):
        above = found.place.split("/")[:-1]
        repository = "/".join(above[:2]) if store.holds_repositories and len(above) >= 2 else store.repository
        place = f"{store.place}/{found.place}" if store.place else found.place
        yield replace(found, place=place, repository=repository, sha256=_blob_hash(found.path))


def _store_model(store: StoreModel, look: Look) -> Iterator[_Found]:
    files = [file for path in (store.path, *store.projectors) if (file := look.file(path))]
    for model in assemble(files):
        if model.shards[0].path == store.path:
            problem = model.problem or foreign_format(model.shards[0].header, store)
            yield _Found(
                replace(model, stem=store.name, problem=problem),
                store.name,
                store.source,
                _RANKS[store.source],
                repository=store.repository,
                sha256=store.sha256,
                draft=store.draft,
                name=store.name,
            )


def _blob_hash(path: Path) -> str:
    """Hugging Face's cache calls a file's contents by their hash."""
    with suppress(OSError, ValueError):
        name = path.readlink().name
        if len(name) == _SHA256_DIGITS and int(name, 16):
            return name
    return ""


def _single(path: Path, added: Iterable[GgufFile], look: Look, source: ModelSource) -> Iterator[_Found]:
    """The model that `path` is, or is a part of. Its shards and projector lie beside it; a projector also among `added`."""
    files = [file for sibling in {path, *look.beside(path)} if (file := look.file(sibling))]
    if all(file.path != path for file in files):
        files.append(GgufFile(path, 0, 0.0, None, _GONE))
    for model in assemble(files, more_projectors=added):
        if any(file.path == path for file in model.shards):
            yield _Found(model, f"{path.parent.name}/{model.stem}".lstrip("/"), source, _RANKS[source])


def _ids(items: Sequence[_Found]) -> list[str]:
    """The stem for whoever comes first by `_RANKS`; among equals the older file, so that a later download never takes over an
    id that clients use. The others are called by their place."""
    ids = [""] * len(items)
    taken: set[str] = set()
    order = sorted(range(len(items)), key=lambda at: (items[at].rank, items[at].model.shards[0].modified, str(items[at].path)))
    for at in order:
        item = items[at]
        stem = item.stem
        numbered = (f"{item.place}-{number}" for number in itertools.count(2))
        ids[at] = next(name for name in itertools.chain((stem, item.place), numbered) if name.casefold() not in taken)
        taken.add(ids[at].casefold())
    return ids
