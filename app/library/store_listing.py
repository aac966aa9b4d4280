"""The models that other programs keep, as they are found there."""

from __future__ import annotations

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

    places: dict[str, GgufFile] = {}
    for folder in store.folders:
        for file in look.files(folder, on_error, belongs=lambda name: _belongs(name, store)):
            places.setdefault(file.path.relative_to(folder).as_posix(), file)
    folder_of = {file.path: place.rpartition("/")[0] for place, file in places.items()}
    # In a cache of several snapshots a projector may lie in another than its model.
    more = tuple(places.values()) if len(store.folders) > 1 else ()
    for folder in store.folders:
        own = (file for file in places.values() if folder in file.path.parents)
        for model in assemble(own, top=folder, more_projectors=more):
            above = folder_of[model.shards[0].path]
            parts = above.split("/")
            stem = model.stem.removeprefix(store.prefix)
            yield Found(
                replace(model, stem=stem),
                "/".join(part for part in (store.place, above, stem) if part),
                store.source,
                RANKS[store.source],
                repository="/".join(parts[:2]) if store.holds_repositories and len(parts) >= 2 else store.repository,
                sha256=_blob_hash(model.shards[0].path),
            )


def _belongs(name: str, store: StoreFolder) -> bool:
    return name.startswith(store.prefix) and not (store.unfinished and name.startswith(store.unfinished))


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
    return sorted(path.parent.glob(f"{_literal(shard.stem)}-*-of-{shard.count:05d}{path.suffix}")) or (path,)


def _literal(text: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def _blob_hash(path: Path) -> str:
    """Hugging Face's cache calls a file's contents by their hash."""
    with suppress(OSError, ValueError):
        name = path.readlink().name
        if len(name) == _SHA256_DIGITS and int(name, 16):
            return name
    return ""
