"""Ollama: a manifest for each name, and blobs that several of them may share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from app.domain.models import ModelDefaults, ModelSource
from app.library.stores.notes import Notes
from app.library.stores.ollama_folders import ollama_folders
from app.library.stores.ollama_manifest import BrokenManifest, Manifest, read_manifest
from app.library.stores.store import StoreModel, StoreTrouble
from app.library.stores.surroundings import Surroundings

__all__ = ["ollama_models"]

_SOURCE: Final = ModelSource.OLLAMA
_REGISTRIES: Final = frozenset({"registry.ollama.ai", "ollama.com"})
_HUBS: Final = frozenset({"hf.co", "huggingface.co"})


def ollama_models(here: Surroundings, notes: Notes, equivalent: Callable[[str], str]) -> Iterator[StoreModel | StoreTrouble]:
    """Every model; names for what runs on Ollama's own computers are left out."""
    for folder in ollama_folders(here, notes):
        # After the model that they were made from: of several names for one file the first is its id.
        found = sorted(_in_folder(notes, folder, equivalent), key=lambda one: one.derived)
        usual: dict[Path, ModelDefaults] = {}
        for one in found:
            yield _told_apart(one.store, usual)


def _told_apart(store: StoreModel | StoreTrouble, usual: dict[Path, ModelDefaults]) -> StoreModel | StoreTrouble:
    """`usual` is how the first model of each file is meant to answer."""
    if isinstance(store, StoreModel) and store.defaults != usual.setdefault(store.path, store.defaults):
        return replace(store, variant=repr(store.defaults))
    return store


@dataclass(frozen=True, slots=True)
class _Found:
    store: StoreModel | StoreTrouble
    derived: bool = False


@dataclass(frozen=True, slots=True)
class _Name:
    """As a person types it, without what needs no typing. `repository` on the hub, if it came from there, else ""."""

    text: str
    repository: str

    @classmethod
    def of(cls, manifest: Path) -> _Name:
        host, namespace, model, tag = manifest.parts[-4:]
        suffix = "" if tag == "latest" else f":{tag}"
        if host in _HUBS:
            return cls(f"{namespace}/{model}{suffix}", f"{namespace}/{model}")
        if host in _REGISTRIES:
            return cls(f"{model}{suffix}" if namespace == "library" else f"{namespace}/{model}{suffix}", "")
        return cls(f"{host}/{namespace}/{model}{suffix}", "")

    @property
    def pull(self) -> str:
        """What has Ollama get it again."""
        return f"ollama pull {f'hf.co/{self.text}' if self.repository else self.text}"


def _in_folder(notes: Notes, folder: Path, equivalent: Callable[[str], str]) -> Iterator[_Found]:
    seen: set[_Name] = set()
    for kind in ("manifests-v2", "manifests"):
        for entry in _manifests(notes, folder / kind):
            if isinstance(entry, StoreTrouble):
                yield _Found(entry)
                continue
            name = _Name.of(entry)
            if name in seen:
                continue
            # A link in the newer folder leads nowhere once an older version of Ollama has tidied up.
            with suppress(FileNotFoundError):
                yield from _read(notes, folder, entry, name, equivalent)
                seen.add(name)


def _manifests(notes: Notes, folder: Path, depth: int = 4) -> Iterator[Path | StoreTrouble]:
    for entry in notes.entries(folder, _SOURCE):
        if isinstance(entry, StoreTrouble):
            yield entry
        elif not entry.name.startswith("."):
            if depth > 1:
                yield from _manifests(notes, entry, depth - 1)
            else:
                yield entry


def _read(notes: Notes, folder: Path, file: Path, name: _Name, equivalent: Callable[[str], str]) -> Iterator[_Found]:
    """Nothing for what is no model of this computer. Raises FileNotFoundError if the manifest is gone."""
    try:
        manifest = read_manifest(notes, folder, file)
        whole = [layer for layer in manifest.layers if not layer.is_weights or layer.is_whole()]
    except FileNotFoundError:
        raise
    except BrokenManifest:
        yield _Found(StoreTrouble(_SOURCE, file, f"{file} is damaged. Get the model again with `{name.pull}`."))
        return
    except OSError as error:
        yield _Found(StoreTrouble.of(_SOURCE, file, error))
        return
    weights = next(iter((*manifest.of("model"), *manifest.of("tensor"))), None)
    if manifest.remote or weights is None:
        return
    if weights.kind == "model" and manifest.format == "gguf":
        yield _Found(_model(manifest, replace(manifest, layers=tuple(whole)), name, equivalent), bool(weights.origin))
    else:
        yield _Found(_other_format(manifest, weights.file, name, equivalent(name.text)))


def _model(manifest: Manifest, whole: Manifest, name: _Name, equivalent: Callable[[str], str]) -> StoreModel:
    """`whole` are the layers of which everything is there: without a projector it is of use still."""
    weights = manifest.of("model")[0]
    is_usable = weights in whole.layers and manifest.of("adapter") == whole.of("adapter")
    return StoreModel(
        source=_SOURCE,
        name=name.text,
        path=weights.file,
        projectors=tuple(layer.file for layer in whole.of("projector")),
        draft=next((layer.file for layer in whole.of("draft")), None),
        adapters=tuple(layer.file for layer in whole.of("adapter")),
        repository=name.repository,
        sha256=weights.sha256,
        license=manifest.license,
        defaults=manifest.defaults,
        problem=None if is_usable else f"Ollama has no more than a part of it. Get it again with `{name.pull}`.",
        size_bytes=manifest.size_bytes,
        # What came from the hub is as llama.cpp has it.
        instead="" if name.repository else equivalent(name.text) or equivalent(weights.origin),
    )


def _other_format(manifest: Manifest, file: Path, name: _Name, instead: str) -> StoreModel:
    get = f"Get it as GGUF with `hearth pull {instead}`, or" if instead else f"Look for a GGUF of {name.text}"
    kept = manifest.format if manifest.format != "gguf" else "safetensors"
    problem = f"Ollama keeps it in the format {kept}; llama.cpp loads GGUF files. {get} on the Models page."
    return StoreModel(_SOURCE, name.text, file, problem=problem, size_bytes=manifest.size_bytes, instead=instead)
