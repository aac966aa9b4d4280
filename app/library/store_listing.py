"""The models that other programs keep, as they are found there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from app.library.assemble import Assembled, assemble
from app.library.found import RANKS, Found
from app.library.gguf import GgufKind
from app.library.headers import GgufFile
from app.library.look import Look
from app.library.names import shard_of
from app.library.projectors import best_projector
from app.library.stores import Store, StoreFolder, StoreModel, StoreTrouble
from app.library.stores.formats import foreign_format

__all__ = ["models_of_others"]

_SHA256_DIGITS: Final = 64
# A publisher, a repository, and folders in that. Somebody will have told a program to keep models on top of a disk.
_DEPTH: Final = 4


def models_of_others(stores: Iterable[Store], look: Look, on_trouble: Callable[[StoreTrouble], None]) -> Iterator[Found]:
    for store in stores:
        match store:
            case StoreFolder():
                yield from _in_folder(store, look, on_trouble)
            case StoreModel():
                yield _noted(store, look)
            case StoreTrouble():
                on_trouble(store)


def _in_folder(store: StoreFolder, look: Look, on_trouble: Callable[[StoreTrouble], None]) -> Iterator[Found]:
    def on_error(error: OSError) -> None:
        on_trouble(StoreTrouble.of(store.source, Path(error.filename or store.folders[0]), error))

    def belongs(name: str) -> bool:
        return not (store.unfinished and name.startswith(store.unfinished))

    parts: list[tuple[Path, list[GgufFile]]] = []
    taken: set[str] = set()
    for folder in store.folders:
        files = look.files(folder, on_error, belongs=belongs, depth=_DEPTH)
        if len(store.folders) > 1:
            files = [file for file in files if _within(file.path, folder) not in taken]
            taken.update(_within(file.path, folder) for file in files)
        parts.append((folder, files))
    # In a cache of several snapshots a projector may lie in another than its model.
    more = [file for _, files in parts for file in files] if len(parts) > 1 else ()
    for folder, files in parts:
        for prefix, repository, own in _by_repository(store, files):
            for model in assemble(own, top=folder, more_projectors=more):
                yield _found(store, folder, model, prefix, repository)


def _by_repository(store: StoreFolder, files: list[GgufFile]) -> Iterator[tuple[str, str, list[GgufFile]]]:
    """Files with the beginning of their names that tells their repository, and with that."""
    if not store.flat_repositories:
        yield "", store.repository, files
        return
    # Of two that a name may begin with, the longer one.
    prefixes = {f"{name.replace('/', '_')}_": name for name in sorted(store.flat_repositories, key=len, reverse=True)}
    groups: dict[str, list[GgufFile]] = {prefix: [] for prefix in (*prefixes, "")}
    for file in files:
        name = file.path.name
        groups[next((prefix for prefix in prefixes if name.startswith(prefix)), "")].append(file)
    for prefix, group in groups.items():
        yield prefix, prefixes.get(prefix, store.repository), group


def _found(store: StoreFolder, folder: Path, model: Assembled, prefix: str, repository: str) -> Found:
    path = model.shards[0].path
    above = _within(path, folder).rpartition("/")[0]
    if prefix:
        model = replace(model, stem=model.stem.removeprefix(prefix))
    parts = above.split("/")
    return Found(
        model,
        "/".join(part for part in (store.place or (repository if prefix else ""), above, model.stem) if part),
        store.source,
        RANKS[store.source],
        repository="/".join(parts[:2]) if store.holds_repositories and len(parts) >= 2 else repository,
        sha256=_blob_hash(path),
    )


def _within(path: Path, folder: Path) -> str:
    """As `relative_to`, in a tenth of the time."""
    return str(path)[len(str(folder)) :].replace(os.sep, "/").lstrip("/")


def _noted(store: StoreModel, look: Look) -> Found:
    model = _broken(store, look) if store.problem is not None else _whole(store, look)
    adapters = tuple(file for path in store.adapters if (file := look.file(path)))
    unusable = any(file.header is None or file.header.kind is not GgufKind.ADAPTER for file in adapters)
    if model.problem is None and unusable:
        model = replace(model, problem="Its adapter (LoRA) is in a format that llama.cpp can't load.")
    return Found(
        model,
        store.name,
        store.source,
        RANKS[store.source],
        repository=store.repository,
        sha256=store.sha256 if store.problem is None else "",
        name=store.name,
        license=store.license,
        adapters=adapters,
        defaults=store.defaults,
        variant=store.variant,
        instead=store.instead if model.problem is not None else "",
    )


def _broken(store: StoreModel, look: Look) -> Assembled:
    modified = 0.0
    with suppress(OSError):
        modified = look.stat(store.path).st_mtime
    return Assembled(store.name, (GgufFile(store.path, store.size_bytes, modified, None, store.problem),), None, store.problem)


def _whole(store: StoreModel, look: Look) -> Assembled:
    """What belongs together is known: headers only say whether it fits."""
    files = [file for path in _shards(store.path) if (file := look.file(path))]
    model = next((one for one in assemble(files) if one.shards[0].path == store.path), None)
    if model is None:
        header = next((file.header for file in files if file.path == store.path), None)
        reason = "It holds no model." if header is not None else "Its file is gone."
        return _broken(replace(store, problem=reason), look)
    projectors = [file for path in store.projectors if (file := look.file(path))]
    draft = look.file(store.draft) if store.draft is not None else None
    return replace(
        model,
        stem=store.name,
        projector=best_projector(model.shards[0], projectors) or _silent(projectors),
        draft=draft if draft is not None and draft.problem is None else None,
        problem=model.problem or foreign_format(model.shards[0].header, store),
    )


def _silent(projectors: Iterable[GgufFile]) -> GgufFile | None:
    """A projector whose header does not say what it fits."""
    headers = ((file, file.header) for file in projectors if file.problem is None)
    fitting = (file for file, header in headers if header and header.kind is GgufKind.PROJECTOR and not header.widths)
    return next((file for file in fitting if file.header and file.header.projector_type), None)


def _shards(path: Path) -> Iterable[Path]:
    """A model's files, of which the first is known."""
    shard = shard_of(path.stem)
    if shard is None:
        return (path,)
    with suppress(OSError):
        return sorted(path.parent.glob(f"{_literal(shard.stem)}-*-of-{shard.count:05d}{path.suffix}")) or (path,)
    return (path,)


def _literal(text: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def _blob_hash(path: Path) -> str:
    """Hugging Face's cache calls a file's contents by their hash."""
    try:
        name = os.readlink(path)[-_SHA256_DIGITS:]
        return name if len(name) == _SHA256_DIGITS and int(name, 16) else ""
    except (OSError, ValueError):
        return ""
