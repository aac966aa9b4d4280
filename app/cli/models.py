"""`hearth list` and `rm`: the installed models, from the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from app.cli.options import ProfileOption
from app.domain.models import InstalledModel
from app.library.library import ModelLibrary
from app.paths import Paths
from app.settings import SettingsStore

__all__ = ["list_models", "remove"]


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
    columns = ("ID", "Size", "Quantization", "Context", "Can", *(("Also called",) if any(aliases.values()) else ()))
    table = Table(*columns, box=None, pad_edge=False)
    for model in installed:
        abilities = model.problem or ", ".join(sorted(model.capabilities))
        row = (model.id, decimal(model.size_bytes), model.quantization, str(model.n_ctx_train or "?"), abilities)
        also = (", ".join(aliases[model.id]),) if len(columns) > len(row) else ()
        table.add_row(*map(escape, (*row, *also)))
    Console().print(table)


def remove(context: typer.Context, model: str, profile: ProfileOption = None) -> None:
    """Delete an installed model."""

    async def run() -> tuple[str, int]:
        library = _library(profile or context.obj)
        await library.refresh()
        model_id = library.resolve(model).id
        return model_id, await library.remove(model_id)

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
        "size_bytes": model.size_bytes,
        "quantization": model.quantization,
        "architecture": model.architecture,
        "context_length": model.n_ctx_train,
        "capabilities": sorted(model.capabilities),
        "source": str(model.source),
        "problem": model.problem,
        "aliases": aliases,
    }
