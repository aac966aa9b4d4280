"""`hearth import`: models that are on this computer already, or are still to be got."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from app.cli.options import ProfileOption
from app.cli.printable import printable
from app.cli.pull import pull
from app.domain.errors import InvalidRequest
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.library.library import ModelLibrary
from app.paths import Paths
from app.service.imports import Imported, ImportFiles, ImportService, ImportWay, named_path
from app.settings import SettingsStore

__all__ = ["import_models"]

# As a shell has it for a program that was interrupted.
_INTERRUPTED_STATUS = 130


def import_models(
    context: typer.Context,
    place: Annotated[
        str,
        typer.Argument(
            metavar="PATH|NAME|ORG/NAME[:QUANTIZATION]|URL",
            help="A GGUF file, a folder with some, or what `hearth pull` takes.",
        ),
    ],
    way: Annotated[
        ImportWay,
        typer.Option("--how", help="Files: use them where they are, link them into the models folder, or copy them."),
    ] = ImportWay.USE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Use models that are on this computer already, with their shards and projectors."""
    path = named_path(place.strip(), here=Path.cwd())
    if path is None:
        if way is not ImportWay.USE:
            raise InvalidRequest(
                f"{place} is no file or folder here, and what is downloaded is neither linked nor copied. Leave --how out."
            )
        pull(context, place, as_json=as_json, profile=profile)
        return
    try:
        ids = asyncio.run(_imported(path, way, Paths.of(profile or context.obj)))
    except KeyboardInterrupt:
        typer.echo("\nStopped. Nothing was imported.", err=True)
        raise typer.Exit(_INTERRUPTED_STATUS) from None
    if as_json:
        print(json.dumps({"models": ids}))
    else:
        print(printable("\n".join(f"{model_id} is installed." for model_id in ids)))


async def _imported(path: Path, way: ImportWay, paths: Paths) -> list[str]:
    settings = SettingsStore(paths.settings_file)
    library, hub = ModelLibrary(paths, settings), Hub(HubAccess.of(paths, settings))
    downloads = DownloadManager(hub, settings, lambda: library.folder)
    service = ImportService(library, hub, downloads, settings)
    plan = await service.plan(str(path))
    if not isinstance(plan, ImportFiles):
        raise InvalidRequest(f"{path} is gone.", param="path")
    imported = await (_copied(service, plan) if way is ImportWay.COPY else service.run(plan, way))
    for model in plan.broken if way is not ImportWay.USE else ():
        typer.echo(printable(f"{model.name} is left out: {model.problem}"), err=True)
    return [model.id for model in imported.models]


async def _copied(service: ImportService, plan: ImportFiles) -> Imported:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"Copying {decimal(plan.size_bytes)}", total=plan.size_bytes)
        return await service.run(plan, ImportWay.COPY, on_bytes=lambda done: bar.update(task, completed=done))
