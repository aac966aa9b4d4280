"""Stores laid out exactly as their programs do."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from app.library.headers import HeaderCache
from app.library.listing import Listing, Places, list_models
from app.library.stores import Surroundings, find_stores

__all__ = ["Ollama", "hub_cache", "listed", "ollama_window", "surroundings"]


def surroundings(tmp_path: Path, *, platform: str = "linux", **environ: str) -> Surroundings:
    return Surroundings(tmp_path / "home", environ, platform, shared=tmp_path / "root")


def listed(here: Surroundings, tmp_path: Path, *, folders: Sequence[Path] = (), instead: str = "") -> Listing:
    """What other programs have, and models folders."""
    ember = Path(__file__).parents[3] / "resources" / "ember" / "ember.gguf"
    library, *others = (*folders, tmp_path / "none")
    places = Places(ember, library, tuple(others), (), (), stores=lambda: find_stores(here, lambda _name: instead))
    found = list_models(places, HeaderCache(tmp_path / "headers.json"))
    return Listing(found.models[1:], found.places[1:], found.troubles)


class Ollama:
    """`<folder>/manifests` and `<folder>/blobs`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def blob(self, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        file = self.folder / "blobs" / f"sha256-{digest}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def add(
        self,
        name: str,
        *,
        model: Path,
        projector: Path | None = None,
        license: str = "",
        config: dict[str, Any] | None = None,
    ) -> Path:
        """`name` has four parts: host/namespace/model/tag."""
        layers = [self._layer("model", model.read_bytes())]
        if projector is not None:
            layers.append(self._layer("projector", projector.read_bytes()))
        layers.append(self._layer("template", b"{{ .Prompt }}"))
        if license:
            layers.append(self._layer("license", license.encode()))
        layers.append(self._layer("params", b'{"stop": ["<|end|>"]}'))
        about = {"model_format": "gguf", "model_family": "llama", "file_type": "Q8_0"} if config is None else config
        body = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **self.blob(json.dumps(about).encode())},
            "layers": layers,
        }
        file = self.folder / "manifests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(body))
        return file

    def _layer(self, kind: str, data: bytes) -> dict[str, Any]:
        return {"mediaType": f"application/vnd.ollama.image.{kind}", **self.blob(data)}


def ollama_window(file: Path, models: Path) -> None:
    """The database of Ollama's window, with a folder chosen."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE settings (id INTEGER PRIMARY KEY, models TEXT)")
        database.execute("INSERT INTO settings (models) VALUES (?)", (str(models),))
        database.commit()


def hub_cache(cache: Path, repository: str, commit: str, files: dict[str, bytes], *, links: bool = True) -> Path:
    """A repository in Hugging Face's cache; without links as on a Windows that allows none. Returns the snapshot."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    for name, data in files.items():
        place = snapshot / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if links:
            blob = folder / "blobs" / hashlib.sha256(data).hexdigest()
            blob.parent.mkdir(exist_ok=True)
            blob.write_bytes(data)
            place.symlink_to(blob)
        else:
            place.write_bytes(data)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    return snapshot
