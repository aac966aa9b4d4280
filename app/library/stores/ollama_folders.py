"""Where Ollama keeps its models: chosen by its variable, in its window, or for the service that runs it."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from app.library.stores.notes import Notes
from app.library.stores.surroundings import Surroundings

__all__ = ["ollama_folders"]

_VARIABLE: Final = "OLLAMA_MODELS"
_UNITS: Final = ("etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
# Of the installer, of Arch, of NixOS and others, and of the snap. The service has a user of its own.
_SERVICES: Final = (
    "usr/share/ollama/.ollama/models",
    "var/lib/ollama",
    "var/lib/ollama/models",
    "var/lib/ollama/.ollama/models",
    "var/snap/ollama/common/models",
)


def ollama_folders(here: Surroundings, notes: Notes) -> Iterator[Path]:
    """Every folder that may be one, the one in use first; what stayed behind in another is still there to be used."""
    yield from dict.fromkeys(_candidates(here, notes))


def _candidates(here: Surroundings, notes: Notes) -> Iterator[Path]:
    for chosen in (here.variable(_VARIABLE), _chosen_in_window(here)):
        if chosen is not None:
            yield chosen
    if here.platform == "linux":
        yield from _chosen_for_service(here, notes)
    yield here.home / ".ollama" / "models"
    if here.platform == "linux":
        for folder in _SERVICES:
            yield here.shared / folder


def _chosen_in_window(here: Surroundings) -> Path | None:
    folder = here.home / ".ollama" if here.platform == "linux" else here.local_data / "Ollama"
    file = folder / "db.sqlite"
    with suppress(OSError, ValueError, sqlite3.Error, TypeError):
        if file.is_file():
            # To read it in the usual way makes SQLite write beside it, unless its window is open and has done so.
            mode = "mode=ro" if (folder / "db.sqlite-shm").exists() else "immutable=1"
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True)) as database:
                return here.path(database.execute("SELECT models FROM settings").fetchone()[0])
    return None


def _chosen_for_service(here: Surroundings, notes: Notes) -> Iterator[Path]:
    """What systemd sets for it: no program of a person's desktop has these variables."""
    places = [*(here.shared / unit for unit in _UNITS), here.config / "systemd" / "user"]
    for place in places:
        with suppress(OSError):
            for file in (place / "ollama.service", *sorted((place / "ollama.service.d").glob("*.conf"))):
                yield from _set_in_unit(here, notes, file)


def _set_in_unit(here: Surroundings, notes: Notes, file: Path) -> Iterator[Path]:
    with suppress(OSError, ValueError):
        for line in notes.text(file).replace("\\\n", " ").splitlines():
            key, _, value = line.partition("=")
            match key.strip():
                case "Environment":
                    yield from _assigned(here, shlex.split(value))
                case "EnvironmentFile":
                    yield from _set_in_file(here, notes, value.strip().removeprefix("-"))


def _set_in_file(here: Surroundings, notes: Notes, file: str) -> Iterator[Path]:
    with suppress(OSError, ValueError):
        lines = notes.text(here.shared / file.lstrip("/")).splitlines()
        yield from _assigned(here, [line.strip().removeprefix("export ") for line in lines])


def _assigned(here: Surroundings, assignments: list[str]) -> Iterator[Path]:
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        # A percent sign stands for what only systemd knows.
        path = here.path(value) if name == _VARIABLE and "%" not in value else None
        if path is not None:
            yield path
