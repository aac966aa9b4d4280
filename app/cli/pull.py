"""`hearth pull`: getting a model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from app.cli.options import ProfileOption
from app.domain.models import DownloadProgress
from app.library.catalogue import Catalogue
from app.library.choosing import choose, wanted_files
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.paths import Paths, resource
from app.settings import SettingsStore

__all__ = ["pull"]


def pull(
    context: typer.Context,
    repository: Annotated[
        str,
        typer.Argument(
            metavar="NAME|ORG/NAME[:QUANTIZATION]", help="A well-known model such as llama3.2, or a repository on the hub."
        ),
    ],
    file: Annotated[str | None, typer.Option(help="Which GGUF, by name, where the quantization is not enough.")] = None,
    profile: ProfileOption = None,
) -> None:
    """Download a model (and its projector, if it has one)."""
    paths = Paths.of(profile or context.obj)
    settings = SettingsStore(paths.settings_file)

    async def run() -> None:
        hub = Hub(HubAccess.of(paths, settings))
        wanted = wanted_files(Catalogue.read(resource("catalogue.json")), repository, endpoint=hub.endpoint)
        listing = await hub.repository(wanted.repository)
        chosen = choose(listing, replace(wanted, file=file or wanted.file))
        downloads = DownloadManager(hub, settings, lambda: settings.current.models_folder or paths.models)
        try:
            with _progress_bar(chosen.label) as show:
                downloads.changed.subscribe(show)
                await downloads.wait(downloads.start(listing, chosen, hub.best_projector(listing, chosen)))
        finally:
            await downloads.close()
            await hub.close()
        print(f"{chosen.label} is installed.")

    asyncio.run(run())


@contextmanager
def _progress_bar(label: str) -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=None)

        def show(progress: DownloadProgress) -> None:
            bar.update(task, completed=progress.done_bytes, total=progress.total_bytes, description=f"{label} {progress.state}")

        yield show
