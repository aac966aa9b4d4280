"""GPT4All: one flat folder; what is still arriving is called `incomplete-…`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from app.domain.models import ModelSource
from app.library.stores.notes import Notes
from app.library.stores.store import StoreFolder
from app.library.stores.surroundings import Surroundings

__all__ = ["gpt4all_models"]

# Qt writes other than ASCII characters so, in files of older versions.
_ESCAPED = re.compile(r"\\x([0-9a-f]{1,4})", re.IGNORECASE)
_CHOSEN = re.compile(r"^modelPath\s*=(.*)$", re.MULTILINE)


def gpt4all_models(here: Surroundings, notes: Notes) -> Iterator[StoreFolder]:
    for folder in dict.fromkeys(_folders(here, notes)):
        if notes.is_folder(folder):
            yield StoreFolder(ModelSource.GPT4ALL, (folder,), unfinished="incomplete-")


def _folders(here: Surroundings, notes: Notes) -> Iterator[Path]:
    for seen in (here, *((here.flatpak("io.gpt4all.gpt4all"),) if here.platform == "linux" else ())):
        chosen = _chosen(seen, notes)
        if chosen is not None:
            yield chosen
        yield seen.local_data / "nomic.ai" / "GPT4All"
    # Of its library for Python.
    yield here.home / ".cache" / "gpt4all"


def _chosen(here: Surroundings, notes: Notes) -> Path | None:
    """The folder chosen in its window. Its settings are an INI file on every system."""
    with suppress(OSError, ValueError):
        found = _CHOSEN.search(notes.text(here.config / "nomic.ai" / "GPT4All.ini"))
        written = _ESCAPED.sub(lambda code: chr(int(code[1], 16)), found[1]) if found else ""
        return here.path(written.replace("\\\\", "\\"))
    return None
