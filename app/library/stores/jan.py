"""Jan: a `model.yml` for each model says where its file and its projector are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from app.domain.models import ModelSource
from app.library.stores.store import StoreModel
from app.library.stores.surroundings import Surroundings

__all__ = ["jan_models"]

_MOST_BYTES = 1 << 20


def jan_models(here: Surroundings) -> Iterator[StoreModel]:
    data = here.roaming_data / "Jan" / "data"
    models = data / "llamacpp" / "models"
    for folder, folders, names in os.walk(models):
        folders.sort()
        if "model.yml" in names:
            place = Path(folder)
            content = _content(place / "model.yml")
            path = _file(data, content.get("model_path"))
            if path is not None:
                projector = _file(data, content.get("mmproj_path"))
                name = place.relative_to(models).as_posix()
                sha256 = str(content.get("model_sha256") or "")
                yield StoreModel(ModelSource.JAN, name, path, (projector,) if projector else (), sha256=sha256)


def _content(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size <= _MOST_BYTES:
            content = yaml.safe_load(file.read_text("utf-8"))
            return content if isinstance(content, dict) else {}
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}
    return {}


def _file(data: Path, told: object) -> Path | None:
    """Relative to the data folder, or absolute."""
    path = data / told if isinstance(told, str) and told else None
    return path if path is not None and path.is_file() else None
