"""`hearth list`, `rm` and `verify`: the installed models, from the command line."""

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
from rich.table import Table

from app.cli.byte_progress import byte_progress
from app.cli.options import ProfileOption
from app.cli.printable import cell, printable
from app.domain.errors import ChecksumMismatch
from app.domain.models import FileState, InstalledModel, MissingPart, ModelSource, PartKind, Removal, Verification
from app.library.library import ModelLibrary
from app.paths import Paths
from app.settings import SettingsStore

__all__ = ["list_models", "remove", "verify"]

_USUAL = (ModelSource.BUILT_IN, ModelSource.LIBRARY)
_VERDICTS = {
    FileState.INTACT: "is intact.",
    FileState.DAMAGED: "is damaged.",
    FileState.MISSING: "is missing.",
    FileState.UNREADABLE: "can't be read.",
    FileState.UNKNOWN: "may be intact: nobody noted its checksum.",
}


def list_models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """List the installed models."""
    library = _library(profile or context.obj)
    installed = asyncio.run(library.refresh())
    aliases = {model.id: library.aliases_of(model) for model in installed}
    for trouble in library.troubles:
        print(printable(f"{trouble.source}: {trouble.reason}"), file=sys.stderr)
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
        table.add_row(*map(cell, row))
    Console().print(table)


def _facts(model: InstalledModel) -> tuple[str, ...]:
    lacks = tuple(_missing(part) for part in model.missing if part.kind is not PartKind.SHARD)
    abilities = model.problem or "; ".join((", ".join(sorted(model.capabilities)), *lacks))
    return (model.id, decimal(model.size_bytes), model.quantization, str(model.n_ctx_train or "?"), model.source, abilities)


def _missing(part: MissingPart) -> str:
    return f"{part.kind} missing: {decimal(part.size_bytes)}" if part.size_bytes else f"{part.kind} missing"


def remove(
    context: typer.Context,
    model: str,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Delete an installed model."""

    async def run() -> Removal:
        library = _library(profile or context.obj)
        await library.refresh()
        try:
            return await library.remove(library.resolve(model).id)
        finally:
            await library.close()

    removal = asyncio.run(run())
    if as_json:
        files = [str(file) for file in removal.model.files if not file.exists()]
        print(json.dumps({"id": removal.model.id, "freed_bytes": removal.freed_bytes, "files": files}, indent=2))
        return
    print(printable(f"Removed {removal.model.id}; {decimal(removal.freed_bytes)} freed."))


def verify(
    context: typer.Context,
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="All if none is named.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Compare the files of installed models with the checksums they came with."""

    async def run() -> list[Verification]:
        library = _library(profile or context.obj)
        installed = await library.refresh()
        chosen = (
            [library.resolve(name) for name in models]
            if models
            else [model for model in installed if model.source is not ModelSource.BUILT_IN]
        )
        found = []
        for model_id in dict.fromkeys(model.id for model in chosen):
            with byte_progress(model_id) as show:
                found.append(await library.verify(model_id, show))
        return found

    found = asyncio.run(run())
    if as_json:
        print(json.dumps([_verification(item) for item in found], indent=2))
    for item in found if not as_json else ():
        for file in item.files:
            print(printable(f"{item.model.id}: {file.path.name} {_VERDICTS[file.state]}"))
    if not all(item.sound for item in found):
        spoilt = ", ".join(item.model.id for item in found if not item.sound)
        raise ChecksumMismatch(f"Not as it came: {spoilt}. Get it again with `hearth pull`.")


def _library(profile: Path | None) -> ModelLibrary:
    paths = Paths.of(profile)
    return ModelLibrary(paths, SettingsStore(paths.settings_file))


def _verification(found: Verification) -> dict[str, Any]:
    files = [dataclasses.asdict(file) | {"path": str(file.path)} for file in found.files]
    return {"id": found.model.id, "sound": found.sound, "files": files}


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
        "instead": model.instead,
        "aliases": aliases,
    }
