"""LM Studio: `<publisher>/<repository>/<file>.gguf`, as on the hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.domain.models import ModelSource
from app.library.stores.notes import Notes
from app.library.stores.store import StoreFolder
from app.library.stores.surroundings import Surroundings

__all__ = ["lm_studio_models"]


def lm_studio_models(here: Surroundings, notes: Notes) -> Iterator[StoreFolder]:
    """What was downloaded, and the small model that it comes with."""
    for folder in dict.fromkeys(_folders(here, notes)):
        if notes.is_folder(folder):
            yield StoreFolder(ModelSource.LM_STUDIO, (folder,), holds_repositories=True, unfinished="downloading_")


def _folders(here: Surroundings, notes: Notes) -> Iterator[Path]:
    home = _home(here, notes)
    chosen = _chosen(here, notes, home)
    if chosen is not None:
        yield chosen
    yield home / "models"
    yield here.home / ".cache" / "lm-studio" / "models"
    yield home / ".internal" / "bundled-models"


def _home(here: Surroundings, notes: Notes) -> Path:
    """A file in the person's folder may point elsewhere."""
    with suppress(OSError, ValueError):
        pointed = here.path(notes.text(here.home / ".lmstudio-home-pointer"))
        if pointed is not None and notes.is_folder(pointed):
            return pointed
    return here.home / ".lmstudio"


def _chosen(here: Surroundings, notes: Notes, home: Path) -> Path | None:
    with suppress(OSError, ValueError):
        return here.path(notes.json(home / "settings.json").get("downloadsFolder"))
    return None
