"""What a person set for a model stays with it when its file is renamed or moved, or when its id changes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from app.domain.errors import SettingsError
from app.domain.models import InstalledModel, ModelSource
from app.library.library import ModelLibrary
from app.library.undisturbed import undisturbed
from app.settings import Settings, SettingsStore

__all__ = ["MovedModels"]

_log = logging.getLogger(__name__)
_FORMAT: Final = 1
_SAMPLE_BYTES: Final = 1 << 16
# Two programs of one profile may not agree on an id, where one was started with a file that has the name of another.
_MOST_MOVES: Final = 5


@dataclass(frozen=True, slots=True)
class _Note:
    """The first file of a model: where it was, and samples of what is in it."""

    path: str
    size_bytes: int
    modified_ns: int
    samples: str


_Notes: TypeAlias = Mapping[str, _Note]


class MovedModels:
    """Notes the files of models for which something is set, and knows them again where they are now.

    Owned by the service loop; files are read on another thread.
    """

    def __init__(self, library: ModelLibrary, settings: SettingsStore, file: Path) -> None:
        """The notes are kept in `file`."""
        self._library = library
        self._settings = settings
        self._file = file
        self._following = asyncio.Lock()
        self._seen: object = None
        self._moves: Counter[tuple[str, str]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stops = (library.changed.subscribe(self._on_change), settings.changed.subscribe(self._on_change))

    async def follow(self) -> None:
        """Bring what is set to where the models are now. Costs nothing while neither models nor settings change."""
        async with self._following:
            current, listed = self._settings.current, self._library.models
            wanted = _with_settings(current)
            seen = (wanted, tuple((model.id, model.path, model.modified) for model in listed))
            if seen == self._seen:
                return
            now, notes = await undisturbed(_compared, self._file, wanted, frozenset(current.models), listed)
            moves = [(old, new) for old, new in now.items() if old != new]
            self._moves.update(moves)
            if moves and max(self._moves.values()) <= _MOST_MOVES:
                _log.info("Settings follow their models: %s", moves)
                self._settings.reread()
                try:
                    self._settings.update(**_brought(self._settings.current, now))
                except SettingsError as error:
                    _log.warning("Settings could not follow their models: %s", error)
                    return
            await undisturbed(_write, self._file, notes)
            self._seen = seen

    async def close(self) -> None:
        for stop in self._stops:
            stop()
        await asyncio.gather(*self._tasks)

    def _on_change(self, _changed: object) -> None:
        task = asyncio.get_running_loop().create_task(self.follow(), name="moved models")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _with_settings(settings: Settings) -> frozenset[str]:
    """The names that something hangs on."""
    names = (*settings.models, *settings.aliases.values(), settings.last_model, settings.fallback_model)
    return frozenset(filter(None, names))


def _compared(
    file: Path, wanted: frozenset[str], configured: frozenset[str], listed: Sequence[InstalledModel]
) -> tuple[dict[str, str], dict[str, _Note]]:
    """By their ids before, the ids of models now, and the notes of what is there now and of what is gone."""
    before = {model_id: note for model_id, note in _read(file).items() if model_id in wanted}
    models = {model.id: model for model in listed if model.source is not ModelSource.BUILT_IN}
    # What was set for a name that nobody has seen a file of is not written over.
    places = _places(before, [model for model in models.values() if model.id not in configured - before.keys()])
    now = {model_id: places.get(model_id, model_id) for model_id in before}
    # What is gone keeps its settings, for it may come back; not under the id of another that has its own.
    taken = set(places.values())
    vacated = [old for old, new in places.items() if old != new and old not in taken]
    for gone in before.keys() - places.keys():
        if gone in taken:
            now[gone] = vacated.pop()
    notes = {now[model_id]: note for model_id, note in before.items()}
    for model_id in (wanted - before.keys()) | taken:
        if model_id in models and (note := _note(models[model_id], notes.get(model_id))) is not None:
            notes[model_id] = note
    return now, notes


def _places(before: _Notes, models: Iterable[InstalledModel]) -> dict[str, str]:
    """The ids now of those that are found again: in their old place, else by what is in them, where only one can be it."""
    by_path = {str(model.path): model for model in models}
    places = {by_path[note.path].id: old for old, note in before.items() if note.path in by_path}
    places = {old: new for new, old in places.items()}
    for old, note in before.items():
        if old not in places:
            free = [model for model in by_path.values() if model.id not in places.values()]
            same = [model.id for model in free if _is_same(model.path, note)]
            if len(same) == 1:
                places[old] = same[0]
    return places


def _is_same(path: Path, note: _Note) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_size == note.size_bytes and _samples(path, note.size_bytes) == note.samples
    return False


def _note(model: InstalledModel, known: _Note | None) -> _Note | None:
    """None if the file can't be read."""
    try:
        status = model.path.stat()
        stamp = (str(model.path), status.st_size, status.st_mtime_ns)
        if known is not None and (known.path, known.size_bytes, known.modified_ns) == stamp:
            return known
        return _Note(*stamp, _samples(model.path, status.st_size))
    except OSError:
        return known


def _samples(path: Path, size_bytes: int) -> str:
    """Of its beginning, middle and end. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for start in (0, size_bytes // 2, max(0, size_bytes - _SAMPLE_BYTES)):
            stream.seek(start)
            digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _brought(settings: Settings, now: Mapping[str, str]) -> dict[str, Any]:
    """The settings with each id as it is now."""

    def named(name: str) -> str:
        return now.get(name, name)

    return {
        "models": {named(name): one.model_dump() for name, one in settings.models.items()},
        "aliases": {alias: named(target) for alias, target in settings.aliases.items()},
        "last_model": named(settings.last_model),
        "fallback_model": named(settings.fallback_model),
    }


def _read(file: Path) -> dict[str, _Note]:
    """Nothing where the file can't be read: settings stay where they are then."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        content = json.loads(file.read_text("utf-8"))
        if content["format"] == _FORMAT:
            return {model_id: _Note(**note) for model_id, note in content["models"].items()}
    return {}


def _write(file: Path, notes: _Notes) -> None:
    if notes == _read(file):
        return
    new = file.with_name(f"{file.name}.new")
    content = {"format": _FORMAT, "models": {model_id: asdict(note) for model_id, note in sorted(notes.items())}}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(content, indent=1), "utf-8")
        new.replace(file)
    except OSError as error:
        _log.warning("%s can't be written: %s. Settings will not follow renamed models.", file, error.strerror)
