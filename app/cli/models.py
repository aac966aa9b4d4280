"""`hearth list` and `rm`: the installed models, from the command line."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from app.cli.options import ProfileOption
from app.domain.models import InstalledModel, MissingPart, ModelSource, PartKind
from app.library.library import ModelLibrary
from app.paths import Paths
from app.settings import SettingsStore

__all__ = ["list_models", "remove"]

_USUAL = (ModelSource.BUILT_IN, ModelSource.LIBRARY)


def list_models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """List the installed models."""
    library = _library(profile or context.obj)
    installed = asyncio.run(library.refresh())
    aliases = {model.id: library.aliases_of(model) for model in installed}
    if as_json:
        print(json.dumps([_as_json(model, aliases[model.id]) for model in installed], indent=2))
        return
    # A terminal is narrow: only what tells models apart.
    columns = ["ID", "Size", "Quantization", "Context", "Where", "Can", "Also called"]
    rows = [(*_facts(model), ", ".join(aliases[model.id])) for model in installed]
    if all(model.source in _USUAL for model in installed):
        columns, rows = columns[:4] + columns[5:], [(*row[:4], *row[5:]) for row in rows]
    if not any(aliases.values()):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)
    for trouble in library.troubles:
        print(f"{trouble.source}: {trouble.reason}", file=sys.stderr)


def _facts(model: InstalledModel) -> tuple[str, ...]:
    lacks = tuple(_missing(part) for part in model.missing if part.kind is not PartKind.SHARD)
    abilities = model.problem or "; ".join((", ".join(sorted(model.capabilities)), *lacks))
    return (model.id, decimal(model.size_bytes), model.quantization, str(model.n_ctx_train or "?"), model.source, abilities)


def _missing(part: MissingPart) -> str:
    return f"{part.kind} missing: {decimal(part.size_bytes)}" if part.size_bytes else f"{part.kind} missing"


def remove(context: typer.Context, model: str, profile: ProfileOption = None) -> None:
    """Delete an installed model."""

    async def run() -> tuple[str, int]:
        library = _library(profile or context.obj)
        await library.refresh()
        removal = await library.remove(library.resolve(model).id)
        await library.close()
        return removal.model.id, removal.freed_bytes

    model_id, freed = asyncio.run(run())
    print(f"Removed {model_id}; {decimal(freed)} freed.")


def _library(profile: Path | None) -> ModelLibrary:
    paths = Paths.of(profile)
    return ModelLibrary(paths, SettingsStore(paths.settings_file))


def _as_json(model: InstalledModel, aliases: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "path": str(model.path),
        "projector": str(model.projector) if model.projector else None,
        "draft": str(model.draft) if model.draft else None,
        "files": [str(file) for file in model.files],
        "missing": [dataclasses.asdict(part) for part in model.missing],
        "size_bytes": model.size_bytes,
        "quantization": model.quantization,
        "architecture": model.architecture,
        "context_length": model.n_ctx_train,
        "capabilities": sorted(model.capabilities),
        "source": str(model.source),
        "repository": model.repository,
        "problem": model.problem,
        "aliases": aliases,
    }
