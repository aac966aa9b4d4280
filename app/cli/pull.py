"""`hearth pull`: getting a model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from app.cli.options import ProfileOption
from app.domain.errors import InvalidRequest, RepositoryNotFound
from app.domain.models import DownloadProgress, RemoteFile, RemoteRepository
from app.library.catalogue import Catalogue
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.paths import Paths, resource
from app.settings import SettingsStore

__all__ = ["Wanted", "choose", "pull", "split", "wanted_files"]

# A good size for its quality on most machines, then what most repositories have.
_PREFERRED = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q8_0")


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
    wanted = wanted_files(Catalogue.read(resource("catalogue.json")), repository)

    async def run() -> None:
        hub = Hub(endpoint=settings.current.hub_endpoint)
        listing = await hub.repository(wanted.repository)
        chosen = choose(listing, quantization=wanted.quantization, file=file, usual=wanted.usual)
        downloads = DownloadManager(hub, settings, lambda: settings.current.models_folder or paths.models)
        try:
            with _progress_bar(chosen.label) as show:
                downloads.changed.subscribe(show)
                await downloads.wait(downloads.start(listing, chosen, hub.best_projector(listing, chosen)))
        finally:
            await downloads.close()
        print(f"{chosen.label} is installed.")

    asyncio.run(run())


@dataclass(frozen=True, slots=True)
class Wanted:
    """A repository, the quantization that was asked for, and the one to take first if none was."""

    repository: str
    quantization: str | None = None
    usual: str = _PREFERRED[0]


def wanted_files(catalogue: Catalogue, name: str) -> Wanted:
    """What to download for a name of the catalogue, or for a repository's. Raises InvalidRequest."""
    meaning = catalogue.meaning(name)
    if meaning is not None:
        return Wanted(meaning.model.repository, meaning.quantization or None, meaning.model.quantization)
    if "/" not in name and (near := catalogue.near(name)):
        raise InvalidRequest(f"No model is known as '{name}'. Did you mean {' or '.join(near)}?")
    return Wanted(*split(name))


def split(repository: str) -> tuple[str, str | None]:
    """`org/name:Q4_K_M` into repository and quantization; addresses with a scheme keep their colon."""
    head, colon, tail = repository.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (repository, None)


def choose(listing: RemoteRepository, *, quantization: str | None, file: str | None, usual: str = _PREFERRED[0]) -> RemoteFile:
    if not listing.models:
        raise RepositoryNotFound(f"{listing.id} holds no GGUF files. Look for a repository whose name ends in GGUF.")
    if file is not None or quantization is not None:
        for candidate in listing.models:
            if (file is not None and file in candidate.names) or candidate.quantization.lower() == (quantization or "").lower():
                return candidate
        offered = ", ".join(candidate.label for candidate in listing.models)
        raise InvalidRequest(f"{listing.id} has no {file or quantization}. It has: {offered}.")
    for wanted in (usual, *_PREFERRED):
        for candidate in listing.models:
            if candidate.quantization == wanted:
                return candidate
    return min(listing.models, key=lambda candidate: candidate.size_bytes)


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
