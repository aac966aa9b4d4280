"""What `llama-server -hf` downloads: the cache of Hugging Face's library since 2026, before that a flat folder of its own.

The flat one holds `<org>_<repository>_<file>`, and `manifest=<org>=<repository>=<tag>.json` for each that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.domain.models import ModelSource
from app.library.stores.hugging_face import repositories
from app.library.stores.notes import Notes
from app.library.stores.store import StoreFolder, StoreTrouble
from app.library.stores.surroundings import Surroundings

__all__ = ["llama_cpp_models"]

_SOURCE = ModelSource.LLAMA_CPP


def llama_cpp_models(here: Surroundings, notes: Notes) -> Iterator[StoreFolder | StoreTrouble]:
    chosen = here.variable("LLAMA_CACHE")
    if chosen is not None:
        yield from repositories(notes, chosen, _SOURCE)
    for folder in dict.fromkeys((*((chosen,) if chosen else ()), here.cache / "llama.cpp")):
        yield from _flat(notes, folder)


def _flat(notes: Notes, folder: Path) -> Iterator[StoreFolder | StoreTrouble]:
    found = list(notes.entries(folder, _SOURCE))
    yield from (entry for entry in found if isinstance(entry, StoreTrouble))
    names = [entry.name for entry in found if isinstance(entry, Path)]
    if names:
        repositories = frozenset(repository for name in names if (repository := _repository(name)))
        yield StoreFolder(_SOURCE, (folder,), flat_repositories=repositories)


def _repository(name: str) -> str:
    """What a manifest is about; "" for any other file."""
    parts = name.removesuffix(".json").split("=")
    return f"{parts[1]}/{parts[2]}" if len(parts) == 4 and parts[0] == "manifest" else ""
