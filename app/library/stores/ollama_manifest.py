"""Ollama's manifests: JSON that names what a model consists of, and blobs that are called by the hash of what is in them.

A manifest lies at `manifests/<host>/<namespace>/<model>/<tag>`. Newer versions write `manifests-v2/…` instead, links to blobs,
where it may be a list of manifests, one for each program that can run the model (ollama, manifest/manifest.go, paths.go, 2026).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.domain.models import ModelDefaults
from app.library.stores.notes import Notes, json_object
from app.library.stores.ollama_params import sampling_of

__all__ = ["BrokenManifest", "Layer", "Manifest", "read_manifest"]

_DIGEST: Final = re.compile(r"^sha256[:-]([0-9a-fA-F]{64})$")
_MEDIA: Final = "application/vnd.ollama.image."
_LIST: Final = "application/vnd.ollama.manifest.list.v2+json"
# Whose files suit us best; "" is how manifests without a list have it.
_RUNNERS: Final = ("llamacpp", "ollama", "", "mlx")
_MOST_BYTES: Final = 1 << 20
_MOST_LICENSE_BYTES: Final = 4096
_LONGEST_LICENSE: Final = 120
_WEIGHTS: Final = frozenset({"model", "projector", "draft", "adapter"})


class BrokenManifest(Exception):
    """What can't be understood as a manifest."""


@dataclass(frozen=True, slots=True)
class Layer:
    """`kind` is what follows "application/vnd.ollama.image."; `origin` is the model that it was taken over from, else ""."""

    kind: str
    file: Path
    size_bytes: int
    origin: str

    @property
    def sha256(self) -> str:
        return self.file.name.rpartition("-")[2].casefold()

    @property
    def is_weights(self) -> bool:
        return self.kind in _WEIGHTS

    def is_whole(self) -> bool:
        """Raises OSError."""
        try:
            return self.file.stat().st_size == self.size_bytes
        except FileNotFoundError:
            return False


@dataclass(frozen=True, slots=True)
class Manifest:
    """`remote`: a name for what runs on Ollama's own computers. `license` is the first line of its licence, `defaults` what its
    Modelfile says, as far as it is of use here."""

    layers: tuple[Layer, ...]
    format: str
    remote: bool
    license: str
    defaults: ModelDefaults

    @property
    def size_bytes(self) -> int:
        return sum(layer.size_bytes for layer in self.layers)

    def of(self, kind: str) -> tuple[Layer, ...]:
        return tuple(layer for layer in self.layers if layer.kind == kind)


def read_manifest(notes: Notes, folder: Path, file: Path) -> Manifest:
    """`folder` holds the blobs. Raises BrokenManifest, and OSError: FileNotFoundError if `file` leads nowhere."""
    try:
        # What it names never changes: blobs are called by what is in them.
        return notes.parsed(file, _manifest, folder)
    except ValueError as error:
        raise BrokenManifest(str(file)) from error


def _manifest(text: str, folder: Path) -> Manifest:
    """Raises BrokenManifest, ValueError, and OSError, but not FileNotFoundError."""
    content = json_object(text)
    try:
        if content.get("mediaType") == _LIST:
            content = _suited(folder, content["manifests"])
        config = _json(_blob(folder, content["config"]["digest"]))
        layers = tuple(_layer(folder, layer) for layer in content["layers"])
    except (FileNotFoundError, KeyError, TypeError, AttributeError) as error:
        raise BrokenManifest("its parts") from error
    weights = str(content.get("format") or config.get("model_format") or "gguf")
    is_remote = bool(config.get("remote_host") or config.get("remote_model"))
    return Manifest(layers, weights, is_remote, _license(layers), _defaults(layers))


def _suited(folder: Path, manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """The one that we can use, else any. Raises ValueError, TypeError and the like."""
    best = min(manifests, key=lambda one: _RUNNERS.index(runner) if (runner := _runner(one)) in _RUNNERS else len(_RUNNERS))
    return best if "layers" in best else {**_json(_blob(folder, best["digest"])), "format": best.get("format")}


def _runner(manifest: dict[str, Any]) -> str:
    return str(manifest.get("runner") or "").casefold()


def _layer(folder: Path, layer: dict[str, Any]) -> Layer:
    kind = str(layer.get("mediaType")).removeprefix(_MEDIA)
    return Layer(kind, _blob(folder, layer["digest"]), int(layer.get("size") or 0), str(layer.get("from") or ""))


def _blob(folder: Path, digest: str) -> Path:
    """Raises ValueError for a digest that could name another file."""
    found = _DIGEST.match(digest)
    if found is None:
        raise ValueError(digest)
    return folder / "blobs" / f"sha256-{found[1]}"


def _json(file: Path) -> dict[str, Any]:
    """Raises OSError, ValueError."""
    return json_object(_text(file))


def _text(file: Path) -> str:
    """Raises OSError, ValueError."""
    if file.stat().st_size > _MOST_BYTES:
        raise ValueError("no small file")
    return file.read_text("utf-8")


def _defaults(layers: Iterable[Layer]) -> ModelDefaults:
    system, params = "", {}
    for layer in layers:
        with suppress(OSError, ValueError):
            match layer.kind:
                case "system":
                    system = _text(layer.file).strip()
                case "params":
                    params = _json(layer.file)
    return ModelDefaults(system, sampling_of(params))


def _license(layers: Iterable[Layer]) -> str:
    """The first line of the licence's text."""
    for layer in layers:
        if layer.kind == "license":
            with suppress(OSError), layer.file.open("rb") as text:
                lines = text.read(_MOST_LICENSE_BYTES).decode("utf-8", "replace").splitlines()
                return next((words[:_LONGEST_LICENSE] for line in lines if (words := line.strip(" #*=-\t"))), "")
    return ""
