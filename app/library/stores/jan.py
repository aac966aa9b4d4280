"""Jan: a `model.yml` for each model says where its file and its projector are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import yaml

from app.domain.models import ModelSource
from app.library.stores.notes import Notes
from app.library.stores.store import StoreFolder, StoreModel, StoreTrouble
from app.library.stores.surroundings import Surroundings, can_be_path

__all__ = ["jan_models"]

_SOURCE: Final = ModelSource.JAN
_NOTE: Final = "model.yml"
# What is no folder without asking.
_FILES: Final = frozenset({".gguf", ".yml"})
_MOST_FOLDERS: Final = 4
# Ten times as fast, where it was built.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def jan_models(here: Surroundings, notes: Notes) -> Iterator[StoreModel | StoreFolder | StoreTrouble]:
    for data in dict.fromkeys(_data_folders(here, notes)):
        yield from _noted(notes, data, data / "llamacpp" / "models")
        # Where older versions had them.
        if notes.is_folder(data / "models"):
            yield StoreFolder(_SOURCE, (data / "models",))


def _data_folders(here: Surroundings, notes: Notes) -> Iterator[Path]:
    named = here.variable("JAN_DATA_FOLDER")
    if named is not None:
        yield named
    for seen in (here, *((here.flatpak("ai.jan.Jan"),) if here.platform == "linux" else ())):
        yield from _chosen(seen, notes)
        yield seen.roaming_data / "Jan" / "data"


def _chosen(here: Surroundings, notes: Notes) -> Iterator[Path]:
    """The folder chosen in its settings, which have lain in several places."""
    for folder in (here.roaming_data / "Jan", here.roaming_data / "jan.ai.app", here.config / "Jan"):
        with suppress(OSError, ValueError):
            chosen = here.path(notes.json(folder / "settings.json").get("data_folder"))
            if chosen is not None:
                yield chosen


def _noted(notes: Notes, data: Path, folder: Path, name: str = "") -> Iterator[StoreModel | StoreTrouble]:
    """The models below a folder, which are called by the folders that lead to them."""
    below = []
    for entry in notes.entries(folder, _SOURCE):
        if isinstance(entry, StoreTrouble):
            yield entry
        elif entry.name == _NOTE:
            yield _model(notes, data, entry, name)
        elif entry.suffix not in _FILES:
            below.append(entry)
    if name.count("/") < _MOST_FOLDERS:
        for entry in below:
            yield from _noted(notes, data, entry, f"{name}/{entry.name}".lstrip("/"))


def _model(notes: Notes, data: Path, file: Path, name: str) -> StoreModel | StoreTrouble:
    try:
        content = notes.parsed(file, _content)
    except OSError as error:
        return StoreTrouble.of(_SOURCE, file, error)
    except ValueError:
        content = {}
    path = _file(data, content.get("model_path"))
    if path is None:
        return StoreTrouble(_SOURCE, file, f"{file} does not say where its model is. Import the model into Jan again.")
    projector = _file(data, content.get("mmproj_path"))
    try:
        problem = None if notes.is_file(path) else f"{path} is gone. Put it back, or remove the model in Jan."
    except OSError as error:
        return StoreTrouble.of(_SOURCE, path, error)
    # A projector that is gone takes nothing but sight.
    projectors = (projector,) if projector is not None else ()
    return StoreModel(_SOURCE, name, path, projectors, sha256=_sha256(content), problem=problem)


def _content(text: str) -> dict[str, Any]:
    """Nothing for what is no YAML."""
    with suppress(yaml.YAMLError, RecursionError):
        content = yaml.load(text, _LOADER)
        return content if isinstance(content, dict) else {}
    return {}


def _file(data: Path, told: object) -> Path | None:
    """Relative to the data folder, or absolute."""
    return data / told if isinstance(told, str) and told and can_be_path(told) else None


def _sha256(content: dict[str, Any]) -> str:
    told = str(content.get("model_sha256") or "").casefold()
    return told if len(told) == 64 else ""
