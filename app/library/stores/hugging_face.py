"""The cache of Hugging Face's own library: `models--org--name/snapshots/<commit>/…`, links to blobs where links can be made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.domain.models import ModelSource
from app.library.stores.store import StoreFolder, StoreTrouble, entries
from app.library.stores.surroundings import Surroundings

__all__ = ["hugging_face_models", "repositories"]

_PREFIX = "models--"


def hugging_face_models(here: Surroundings) -> Iterator[StoreFolder | StoreTrouble]:
    chosen = here.variable("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    home = here.variable("HF_HOME") or (here.variable("XDG_CACHE_HOME") or here.home / ".cache") / "huggingface"
    yield from repositories(chosen or home / "hub", ModelSource.HUGGING_FACE)


def repositories(cache: Path, source: ModelSource) -> Iterator[StoreFolder | StoreTrouble]:
    """One folder for each repository: the snapshot that its main branch points to, else the latest."""
    for entry in entries(cache, source):
        if isinstance(entry, StoreTrouble):
            yield entry
            continue
        organisation, _, name = entry.name.removeprefix(_PREFIX).partition("--")
        snapshot = _snapshot(entry) if entry.name.startswith(_PREFIX) and name else None
        if snapshot is not None:
            yield StoreFolder(source, snapshot, place=f"{organisation}/{name}", repository=f"{organisation}/{name}")


def _snapshot(repository: Path) -> Path | None:
    with suppress(OSError, ValueError):
        main = repository / "snapshots" / (repository / "refs" / "main").read_text("utf-8").strip()
        if main.is_dir():
            return main
    with suppress(OSError):
        return max((one for one in (repository / "snapshots").iterdir() if one.is_dir()), key=_modified, default=None)
    return None


def _modified(folder: Path) -> float:
    return folder.stat().st_mtime
