"""Stores laid out exactly as their programs do."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from app.library.headers import HeaderCache
from app.library.listing import Listing, Places, list_models
from app.library.look import Look
from app.library.stores import NoteCache, Notes, Store, Surroundings, find_stores

__all__ = ["Ollama", "hub_cache", "listed", "ollama_window", "surroundings"]


def surroundings(tmp_path: Path, *, platform: str = "linux", **environ: str) -> Surroundings:
    return Surroundings(tmp_path / "home", environ, platform, shared=tmp_path / "root")


def listed(here: Surroundings, tmp_path: Path, *, folders: Sequence[Path] = (), instead: str = "") -> Listing:
    """What other programs have, and models folders."""
    ember = Path(__file__).parents[3] / "resources" / "ember" / "ember.gguf"
    library, *others = folders or (tmp_path / "none",)

    def stores(look: Look) -> Iterable[Store]:
        return find_stores(here, Notes(NoteCache(), look.stat), lambda _name: instead)

    places = Places(ember, library, tuple(others), (), (), stores=stores)
    found = list_models(places, HeaderCache(tmp_path / "headers.json"))
    return Listing(found.models[1:], found.places[1:], found.troubles)


_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


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

    def add(self, name: str, **parts: Any) -> Path:
        """`name` has four parts: host/namespace/model/tag; `parts` as of `manifest`."""
        file = self.folder / "manifests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(self.manifest(**parts)))
        return file

    def add_newer(self, name: str, manifest: dict[str, Any], *, links: bool = True) -> Path:
        """As versions from 2026 on: a link to a blob, a copy where no link can be made."""
        digest = self.blob(json.dumps(manifest).encode())["digest"].replace(":", "-")
        file = self.folder / "manifests-v2" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if links:
            file.symlink_to(Path("../" * 4) / "blobs" / digest)
        else:
            file.write_bytes((self.folder / "blobs" / digest).read_bytes())
        return file

    def manifest_list(self, **manifests: dict[str, Any]) -> dict[str, Any]:
        """One manifest for each program that runs the model, by its name."""
        references = [
            {"mediaType": _MANIFEST, "digest": self.blob(json.dumps(one).encode())["digest"], "runner": runner}
            for runner, one in manifests.items()
        ]
        return {"schemaVersion": 2, "mediaType": "application/vnd.ollama.manifest.list.v2+json", "manifests": references}

    def manifest(
        self,
        *,
        model: Path | None = None,
        projectors: Iterable[Path] = (),
        adapter: Path | None = None,
        derived_from: str = "",
        license: str = "",
        system: str = "",
        params: dict[str, Any] | None = None,
        config: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Without a model one in another format, of many tensors."""
        layers = []
        if model is None:
            layers.append(self._layer("tensor", b"0123456789"))
        else:
            layers.append({**self._layer("model", model.read_bytes()), **({"from": derived_from} if derived_from else {})})
        layers += [self._layer("projector", projector.read_bytes()) for projector in projectors]
        if adapter is not None:
            layers.append(self._layer("adapter", adapter.read_bytes()))
        layers.append(self._layer("template", b"{{ .Prompt }}"))
        if license:
            layers.append(self._layer("license", license.encode()))
        if system:
            layers.append(self._layer("system", system.encode()))
        layers.append(self._layer("params", json.dumps({"stop": ["<|end|>"]} if params is None else params).encode()))
        about = {"model_format": "gguf", "model_family": "llama", "file_type": "Q8_0"} if config is None else config
        return {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **self.blob(json.dumps(about).encode())},
            "layers": layers,
        }

    def blob_of(self, kind: str, manifest: Path) -> Path:
        """The file of the first layer of this kind."""
        layers = json.loads(manifest.read_text())["layers"]
        digest: str = next(layer["digest"] for layer in layers if layer["mediaType"].endswith(f".{kind}"))
        return self.folder / "blobs" / digest.replace(":", "-")

    def _layer(self, kind: str, data: bytes) -> dict[str, Any]:
        return {"mediaType": f"application/vnd.ollama.image.{kind}", **self.blob(data)}


def ollama_window(file: Path, models: Path) -> None:
    """The database of Ollama's window, with a folder chosen."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE settings (id INTEGER PRIMARY KEY CHECK (id = 1), models TEXT NOT NULL DEFAULT '')")
        database.execute("INSERT INTO settings (id, models) VALUES (1, ?)", (str(models),))
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
