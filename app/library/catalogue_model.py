"""One entry of the catalogue, and what the hub was seen to hold of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from app.domain.models import Capability
from app.library.names import base_name

__all__ = ["REPOSITORY_SUFFIX", "CatalogueFile", "CatalogueModel", "Verified", "catalogue_model", "form_of"]

REPOSITORY_SUFFIX: Final = re.compile(r"[-_.]gguf$", re.IGNORECASE)
_GB: Final = 1_000_000_000
# What those who quantize add to the name of the model.
_ADDED: Final = re.compile(r"[-._](?:i1|imat|qat)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read off `hub` on a day, at a commit: the model's file, or all its shards in order, and its projector."""

    on: date
    hub: str
    commit: str
    license: str
    gated: bool
    files: tuple[CatalogueFile, ...]
    projector: CatalogueFile | None


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """One size of a family. `repository` holds it as GGUF, `original` as it was published.

    `quantization` is the usual one, and `size_bytes` about its size without a projector. `stems` are what is left of its files'
    names, whoever made them, once quantizations, hyphens and the like are taken out. `verified` is None where nobody has looked
    whether all this is so.
    """

    family: str
    tag: str
    about: str
    repository: str
    original: str
    quantization: str
    parameters: str
    size_bytes: int
    capabilities: frozenset[Capability]
    stems: frozenset[str]
    verified: Verified | None = None

    @property
    def name(self) -> str:
        return f"{self.family}:{self.tag}"

    @property
    def license(self) -> str:
        """ "" where it was not looked up."""
        return self.verified.license if self.verified is not None else ""


def form_of(stem: str) -> str:
    """A file's name without quantization, hyphens and the like: nobody agrees on them."""
    return re.sub(r"[-_\s]+", "", _ADDED.sub("", base_name(stem)).casefold())


def catalogue_model(family: Mapping[str, Any], model: Mapping[str, Any]) -> CatalogueModel:
    """An entry from the catalogue's file."""
    repository, original = model["repository"], model["original"]
    publisher, _, name = original.partition("/")
    own = REPOSITORY_SUFFIX.sub("", repository.rpartition("/")[2])
    names = (name, own, *model.get("files", ()))
    verified = _verified(model["verified"]) if "verified" in model else None
    return CatalogueModel(
        family=family["name"],
        tag=model["tag"],
        about=family["about"],
        repository=repository,
        original=original,
        quantization=model["quantization"],
        parameters=model["parameters"],
        size_bytes=sum(file.size_bytes for file in verified.files) if verified else round(model["size_gb"] * _GB),
        capabilities=frozenset(map(Capability, model.get("can", family["can"]))),
        # Some put the publisher in front of the name.
        stems=frozenset(form for stem in names for form in (form_of(stem), form_of(f"{publisher}_{stem}"))),
        verified=verified,
    )


def _verified(told: Mapping[str, Any]) -> Verified:
    projector = told.get("projector")
    return Verified(
        on=date.fromisoformat(told["on"]),
        hub=told["hub"],
        commit=told["commit"],
        license=told["license"],
        gated=told.get("gated", False),
        files=tuple(CatalogueFile(**file) for file in told["files"]),
        projector=CatalogueFile(**projector) if projector is not None else None,
    )
