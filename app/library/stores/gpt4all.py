"""GPT4All: one flat folder; what is still arriving is called `incomplete-…`."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path

from app.domain.models import ModelSource
from app.library.stores.store import StoreFolder
from app.library.stores.surroundings import Surroundings

__all__ = ["gpt4all_models"]


def gpt4all_models(here: Surroundings) -> Iterator[StoreFolder]:
    usual = here.local_data / "nomic.ai" / "GPT4All"
    for folder in dict.fromkeys((_chosen(here) or usual, here.home / ".cache" / "gpt4all")):
        if folder.is_dir():
            yield StoreFolder(ModelSource.GPT4ALL, folder)


def _chosen(here: Surroundings) -> Path | None:
    """The folder chosen in its window."""
    config = here.roaming_data if here.platform == "win32" else here.variable("XDG_CONFIG_HOME") or here.home / ".config"
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(config / "nomic.ai" / "GPT4All.ini", "utf-8")
        chosen = parser.get("General", "modelPath", fallback="")
    except (configparser.Error, OSError, ValueError):
        return None
    return Path(chosen) if chosen else None
