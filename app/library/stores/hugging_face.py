"""The cache of Hugging Face's own library: `models--org--name/snapshots/<commit>/…`, links to blobs where links can be made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.domain.models import ModelSource
from app.library.stores.notes import Notes
from app.library.stores.store import StoreFolder, StoreTrouble
from app.library.stores.surroundings import Surroundings

__all__ = ["hugging_face_models", "repositories"]

_PREFIX = "models--"


def hugging_face_models(here: Surroundings, notes: Notes) -> Iterator[StoreFolder | StoreTrouble]:
    usual = (here.variable("XDG_CACHE_HOME") or here.home / ".cache") / "huggingface"
    home = here.variable("HF_HOME") or usual
    chosen = here.variable("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") or home / "hub"
    # What was downloaded before a variable was set is still there.
    for cache in dict.fromkeys((chosen, home / "hub", usual / "hub")):
        yield from repositories(notes, cache, ModelSource.HUGGING_FACE)


def repositories(notes: Notes, cache: Path, source: ModelSource) -> Iterator[StoreFolder | StoreTrouble]:
    """One folder for each repository."""
    for entry in notes.entries(cache, source):
        if isinstance(entry, StoreTrouble):
            yield entry
        elif entry.name.startswith(_PREFIX):
            # The library writes both slashes and double hyphens as these, but the hub allows the latter in no name.
            name = entry.name.removeprefix(_PREFIX).replace("--", "/")
            snapshots = list(notes.entries(entry / "snapshots", source))
            yield from (one for one in snapshots if isinstance(one, StoreTrouble))
            folders = _latest_first(notes, entry, [one for one in snapshots if isinstance(one, Path)])
            if folders:
                yield StoreFolder(source, folders, place=name, repository=name)


def _latest_first(notes: Notes, repository: Path, snapshots: list[Path]) -> tuple[Path, ...]:
    """The one that its main branch points to, then the others from the latest on: each holds only what was asked for then."""
    if len(snapshots) < 2:
        return tuple(snapshots)
    main = ""
    with suppress(OSError, ValueError):
        main = notes.text(repository / "refs" / "main").strip()
    return tuple(sorted(snapshots, key=lambda one: (one.name == main, _modified(one)), reverse=True))


def _modified(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
