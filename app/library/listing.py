"""Reading the folders: every model on this machine, each with an id of its own."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from app.domain.errors import NotAModel
from app.domain.models import InstalledModel, MissingPart, ModelSource
from app.library.assemble import assemble
from app.library.catalogue import Catalogue
from app.library.found import BUILT_IN_ID, RANKS, Found
from app.library.gguf import GgufKind
from app.library.headers import GgufFile, HeaderCache
from app.library.local_names import NO_TEXT
from app.library.look import Look, Seen
from app.library.missing import missing_parts
from app.library.placing import IMPORTED
from app.library.store_listing import models_of_others
from app.library.stores import Store, StoreTrouble

__all__ = ["BUILT_IN_ID", "Listing", "Places", "list_models", "models_at", "no_stores"]

_GONE: Final = "The file is gone. Put it back, or remove it from the list."


def no_stores(_look: Look) -> Iterable[Store]:
    """Where other programs are to be left alone."""
    return ()


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look. `library` is our own folder, `folders` are others; `opened` and `added` are files, the rest of
    their folders is not listed. Paths are absolute.

    `stores` gives what other programs have, and tells what it looked at. It is asked anew each time, on the thread that reads.
    `catalogue` knows which models have a projector.
    """

    built_in: Path
    library: Path
    folders: tuple[Path, ...]
    added: tuple[Path, ...]
    opened: tuple[Path, ...]
    stores: Callable[[Look], Iterable[Store]] = no_stores
    catalogue: Catalogue | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Models, the built-in one first, then by name; `places` are their names with folders, in the same order.

    `troubles` are folders and stores of other programs that can't be read. `seen` tells whether it is still right.
    """

    models: tuple[InstalledModel, ...]
    places: tuple[str, ...]
    troubles: tuple[StoreTrouble, ...] = ()
    seen: Seen = field(default_factory=Seen)


def list_models(places: Places, headers: HeaderCache) -> Listing:
    """Read everything. Takes milliseconds for files known to the cache; reads headers only, never weights."""
    items: list[Found] = []
    known: dict[object, int] = {}
    troubles: list[StoreTrouble] = []
    look = Look(headers)
    ours = _files(places.library, ModelSource.LIBRARY, look, troubles)
    others = models_of_others(places.stores(look), look, troubles.append)
    for item in _sayable(itertools.chain(_own(places, ours, look, troubles), others), troubles.append):
        identities = tuple(item.identities())
        at = next((known[identity] for identity in identities if identity in known), len(items))
        if at == len(items):
            items.append(item)
        else:
            items[at] = items[at].merged(item)
        known |= dict.fromkeys(identities, at)
    items = [item.of_repository(_repository(item, look)) for item in items]
    fetched = _fetched_projectors(ours, places.library, look)
    items = [item.with_projector(fetched.get(item.repository, ())) if item.repository else item for item in items]
    missing = [_missing(item, places, look) for item in items]
    listed = [
        (item.listed(model_id, parts), item.place) for item, model_id, parts in zip(items, _ids(items), missing, strict=True)
    ]
    listed.sort(key=lambda pair: (pair[0].source is not ModelSource.BUILT_IN, pair[0].name.casefold(), pair[0].id.casefold()))
    headers.save()
    models, where = tuple(model for model, _ in listed), tuple(place for _, place in listed)
    return Listing(models, where, tuple(dict.fromkeys(troubles)), look.seen)


def models_at(path: Path) -> tuple[InstalledModel, ...]:
    """The model that a file is a part of, or all models below a folder, as they would be listed; none if there is none.

    Raises NotAModel for a folder that can't be read.
    """
    # Nothing is to be remembered of files that are only looked at.
    look = Look(HeaderCache(Path(os.devnull)))
    reasons: list[str] = []
    if path.is_dir():
        files = look.files(path, lambda error: reasons.append(f"it can't be read: {error.strerror or error}."))
        named = _folder(path, files, ModelSource.FOLDER)
    else:
        named = _single(path, (), look, ModelSource.PATH)
    found = tuple(_sayable(named, lambda trouble: reasons.append(trouble.reason)))
    if reasons and not found:
        raise NotAModel(path, reasons[0])
    return tuple(item.listed(item.stem, ()) for item in found)


def _sayable(items: Iterable[Found], on_trouble: Callable[[StoreTrouble], None]) -> Iterator[Found]:
    """Without those whose names are no text: one would spoil every answer that lists it."""
    for item in items:
        if shown := item.no_text:
            on_trouble(StoreTrouble(item.source, Path(shown), f"{shown} can't be used. {NO_TEXT}"))
        else:
            yield item


def _own(places: Places, ours: Sequence[GgufFile], look: Look, troubles: list[StoreTrouble]) -> Iterator[Found]:
    added = [file for path in places.added if (file := look.file(path))]
    yield from _single(places.built_in, (), look, ModelSource.BUILT_IN)
    for found in _folder(places.library, ours, ModelSource.LIBRARY):
        note = look.notes(found.path.parent).get(found.path.name)
        yield replace(found, sha256=note.sha256) if note is not None else found
    for folder in places.folders:
        yield from _folder(folder, _files(folder, ModelSource.FOLDER, look, troubles), ModelSource.FOLDER)
    for path in places.added:
        yield from _single(path, added, look, ModelSource.ADDED)
    for path in places.opened:
        yield from _single(path, added, look, ModelSource.PATH)


def _repository(item: Found, look: Look) -> str:
    """Where it came from: as its store or our notes say, else by the two folders that our own keeps a repository in."""
    note = look.notes(item.path.parent).get(item.path.name)
    if note is not None:
        return note.repository
    above = item.place.split("/")[:-1]
    named = item.source is ModelSource.LIBRARY and len(above) >= 2 and above[0] != IMPORTED
    return "/".join(above[:2]) if named else item.repository


def _fetched_projectors(ours: Iterable[GgufFile], library: Path, look: Look) -> Mapping[str, list[GgufFile]]:
    """The projectors in our own folder, by repository: they also serve models that another program keeps."""
    fetched: defaultdict[str, list[GgufFile]] = defaultdict(list)
    for file in ours:
        if file.header is not None and file.header.kind is GgufKind.PROJECTOR:
            note = look.notes(file.path.parent).get(file.path.name)
            above = file.path.parent.relative_to(library).parts[:2]
            fetched[note.repository if note is not None else "/".join(above)].append(file)
    return fetched


def _missing(item: Found, places: Places, look: Look) -> tuple[MissingPart, ...]:
    shards = item.model.missing_shards
    if item.source is ModelSource.BUILT_IN or (not shards and (item.model.problem or item.model.projector)):
        return ()
    folder, above = item.path.parent, item.place.split("/")[:-1]
    # In our own folder a projector may lie in any of the folders within it that lead to the model.
    near = (folder, *(folder.parents[up] for up in range(len(above) - 1))) if item.source is ModelSource.LIBRARY else (folder,)
    entry = places.catalogue.entry(item.place) if places.catalogue is not None else None
    return missing_parts(item.model, {place: look.notes(place) for place in near}, entry, item.repository)


def _files(folder: Path, source: ModelSource, look: Look, troubles: list[StoreTrouble]) -> list[GgufFile]:
    """Our own folder need not be there, and one within another may have gone meanwhile."""

    def on_error(error: OSError) -> None:
        place = Path(error.filename or folder)
        if not isinstance(error, FileNotFoundError):
            troubles.append(StoreTrouble.of(source, place, error))
        elif source is ModelSource.FOLDER and place == folder:
            hint = "Connect its disk, or take it out of the settings."
            troubles.append(StoreTrouble(source, folder, f"{folder} is not there. {hint}"))

    return look.files(folder, on_error)


def _folder(folder: Path, files: Iterable[GgufFile], source: ModelSource) -> Iterator[Found]:
    depth = len(folder.parts)
    for model in assemble(files, top=folder):
        place = "/".join((*model.shards[0].path.parts[depth:-1], model.stem))
        yield Found(model, place, source, RANKS[source])


def _single(path: Path, added: Iterable[GgufFile], look: Look, source: ModelSource) -> Iterator[Found]:
    """The model that `path` is, or is a part of. Its shards and projector lie beside it; a projector also among `added`."""
    files = [file for sibling in {path, *look.beside(path)} if (file := look.file(sibling))]
    if all(file.path != path for file in files):
        files.append(GgufFile(path, 0, 0.0, None, _GONE))
    for model in assemble(files, more_projectors=added):
        if any(file.path == path for file in model.shards):
            yield Found(model, f"{path.parent.name}/{model.stem}".lstrip("/"), source, RANKS[source])


def _ids(items: Sequence[Found]) -> list[str]:
    """The stem for whoever comes first by `RANKS`; among equals the older file, so that a later download never takes over an
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
