"""LM Studio: `<publisher>/<repository>/<file>.gguf`, as on the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.domain.models import ModelSource
from app.library.stores.store import StoreFolder
from app.library.stores.surroundings import Surroundings

__all__ = ["lm_studio_models"]


def lm_studio_models(here: Surroundings) -> Iterator[StoreFolder]:
    home = _home(here)
    for folder in dict.fromkeys((_downloads(home) or home / "models", here.home / ".cache" / "lm-studio" / "models")):
        if folder.is_dir():
            yield StoreFolder(ModelSource.LM_STUDIO, folder, holds_repositories=True)


def _home(here: Surroundings) -> Path:
    """A file in the person's folder may point elsewhere."""
    with suppress(OSError, ValueError):
        pointed = Path((here.home / ".lmstudio-home-pointer").read_text("utf-8").strip())
        if pointed.is_absolute() and pointed.is_dir():
            return pointed
    return here.home / ".lmstudio"


def _downloads(home: Path) -> Path | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        return Path(json.loads((home / "settings.json").read_text("utf-8"))["downloadsFolder"])
    return None
