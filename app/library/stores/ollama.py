"""Ollama: a manifest for each name, and blobs that are called by what is in them.

`manifests/<host>/<namespace>/<model>/<tag>` is JSON; its layers name `blobs/sha256-<hex>`. Blobs are shared between manifests.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from app.domain.models import ModelSource
from app.library.stores.store import StoreModel, StoreTrouble, entries
from app.library.stores.surroundings import Surroundings

__all__ = ["ollama_models"]

_SOURCE: Final = ModelSource.OLLAMA
_REGISTRY: Final = "registry.ollama.ai"
_HUBS: Final = frozenset({"hf.co", "huggingface.co"})
_DIGEST: Final = re.compile(r"^sha256[:-]([0-9a-f]{64})$")
_MEDIA: Final = "application/vnd.ollama.image."
_MOST_MANIFEST_BYTES: Final = 1 << 20
_MOST_LICENSE_BYTES: Final = 4096


def ollama_models(here: Surroundings, equivalent: Callable[[str], str]) -> Iterator[StoreModel | StoreTrouble]:
    """Every model that is whole; names of Ollama's own cloud are left out."""
    for folder in dict.fromkeys(_folders(here)):
        for found in _manifests(folder / "manifests"):
            if isinstance(found, StoreTrouble):
                yield found
            elif (model := _model(folder, found, equivalent)) is not None:
                yield model


def _folders(here: Surroundings) -> Iterator[Path]:
    chosen = here.variable("OLLAMA_MODELS") or _chosen_in_app(here)
    yield chosen or here.home / ".ollama" / "models"
    if here.platform == "linux":
        # The service has a user of its own.
        yield here.shared / "usr" / "share" / "ollama" / ".ollama" / "models"
        yield here.shared / "var" / "lib" / "ollama"


def _chosen_in_app(here: Surroundings) -> Path | None:
    """The folder chosen in Ollama's window."""
    folder = here.home / ".ollama" if here.platform == "linux" else here.local_data / "Ollama"
    file = folder / "db.sqlite"
    if not file.is_file():
        return None
    with suppress(sqlite3.Error, TypeError), closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        chosen = database.execute("SELECT models FROM settings").fetchone()[0]
        return Path(chosen).expanduser() if chosen else None
    return None


def _manifests(folder: Path, depth: int = 4) -> Iterator[Path | StoreTrouble]:
    for entry in entries(folder, _SOURCE):
        if isinstance(entry, StoreTrouble) or depth == 1:
            yield entry
        elif not entry.name.startswith("."):
            yield from _manifests(entry, depth - 1)


def _model(folder: Path, manifest: Path, equivalent: Callable[[str], str]) -> StoreModel | None:
    """None for what is no model of this computer, or is still arriving."""
    layers = _layers(folder, manifest)
    weights = next((layer for kind, layer in layers if kind == "model"), None)
    if weights is None:
        return None
    name, repository = _names(manifest)
    digest = _DIGEST.match(weights.name)
    return StoreModel(
        source=_SOURCE,
        name=name,
        path=weights,
        projectors=tuple(layer for kind, layer in layers if kind == "projector"),
        draft=next((layer for kind, layer in layers if kind == "draft"), None),
        repository=repository,
        sha256=digest[1] if digest else "",
        license=_license(layers),
        instead=equivalent(name),
    )


def _layers(folder: Path, manifest: Path) -> list[tuple[str, Path]]:
    """Kind and file of each layer; none unless all that belong to a model are there with their sizes."""
    try:
        content = _json(manifest)
        config = _json(_blob(folder, content["config"]["digest"]))
        if config.get("remote_host") or config.get("model_format", "gguf") != "gguf":
            return []
        found = []
        for layer in content["layers"]:
            kind = str(layer["mediaType"]).removeprefix(_MEDIA)
            file = _blob(folder, layer["digest"])
            if kind in ("model", "projector", "draft") and file.stat().st_size != layer["size"]:
                return []
            found.append((kind, file))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return found


def _blob(folder: Path, digest: str) -> Path:
    """Raises ValueError for a digest that could name another file."""
    found = _DIGEST.match(digest)
    if found is None:
        raise ValueError(digest)
    return folder / "blobs" / f"sha256-{found[1]}"


def _json(file: Path) -> dict[str, Any]:
    if file.stat().st_size > _MOST_MANIFEST_BYTES:
        raise ValueError("too large")
    content = json.loads(file.read_text("utf-8"))
    if not isinstance(content, dict):
        raise TypeError("no object")
    return content


def _names(manifest: Path) -> tuple[str, str]:
    """As a person types it, without a tag that needs no typing; and the repository on the hub, if it came from there."""
    host, namespace, model, tag = manifest.parts[-4:]
    suffix = "" if tag == "latest" else f":{tag}"
    if host in _HUBS:
        return f"{namespace}/{model}{suffix}", f"{namespace}/{model}"
    if host == _REGISTRY:
        return f"{model}{suffix}" if namespace == "library" else f"{namespace}/{model}{suffix}", ""
    return f"{host}/{namespace}/{model}{suffix}", ""


def _license(layers: list[tuple[str, Path]]) -> str:
    """The first line of the licence's text."""
    for kind, file in layers:
        if kind == "license":
            with suppress(OSError), file.open("rb") as text:
                lines = text.read(_MOST_LICENSE_BYTES).decode("utf-8", "replace").split("\n")
                return next((line.strip() for line in lines if line.strip()), "")
    return ""
