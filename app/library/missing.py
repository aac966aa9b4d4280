"""What a model lacks, told by what is on this disk: its headers, what was noted of its files, and the catalogue."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from app.domain.models import Capability, MissingPart, PartKind
from app.library.assemble import Assembled
from app.library.catalogue import CatalogueModel
from app.library.hub_listing import is_projector_name
from app.library.provenance import Provenance

__all__ = ["missing_parts"]

# Architectures that are of no other use than with pictures.
_SEEING: Final = re.compile(r"vl(moe)?$|ocr$|vlm$")


def missing_parts(
    model: Assembled, notes: Mapping[Path, Mapping[str, Provenance]], entry: CatalogueModel | None, repository: str
) -> tuple[MissingPart, ...]:
    """`notes` are those of the model's folder and of the ones above it; `entry` is what the catalogue knows of it."""
    return (
        *_shards(model, notes.get(model.shards[0].path.parent, {}), repository),
        *_projector(model, notes, entry, repository),
    )


def _shards(model: Assembled, notes: Mapping[str, Provenance], repository: str) -> Iterator[MissingPart]:
    for name in model.missing_shards:
        note = notes.get(name)
        if note is not None:
            yield MissingPart(PartKind.SHARD, note.name, note.size_bytes, note.repository)
        else:
            yield MissingPart(PartKind.SHARD, name, repository=repository)


def _projector(
    model: Assembled, notes: Mapping[Path, Mapping[str, Provenance]], entry: CatalogueModel | None, repository: str
) -> Iterator[MissingPart]:
    header = model.shards[0].header
    if model.projector is not None or header is None or header.holds_encoder:
        return
    gone = (
        note
        for folder, known in notes.items()
        for name, note in known.items()
        if note.repository == repository and is_projector_name(note.name) and not os.path.exists(folder / name)
    )
    if (note := next(gone, None)) is not None:
        yield MissingPart(PartKind.PROJECTOR, note.name, note.size_bytes, note.repository)
    elif entry is not None and entry.capabilities & {Capability.VISION, Capability.AUDIO}:
        file = entry.verified.projector if entry.verified is not None and repository in ("", entry.repository) else None
        name, size_bytes = (file.name, file.size_bytes) if file is not None else ("", 0)
        yield MissingPart(PartKind.PROJECTOR, name, size_bytes, repository or entry.repository)
    elif _SEEING.search(header.architecture):
        yield MissingPart(PartKind.PROJECTOR, "", repository=repository)
