"""`hearth pull`: getting a model."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from app.cli.options import ProfileOption
from app.domain.errors import DownloadError
from app.domain.models import DownloadProgress, DownloadState, RemoteFile, RemoteRepository
from app.library.catalogue import Catalogue
from app.library.choosing import choose, wanted_files
from app.library.download_records import DownloadRecords
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.library.library import own_folder
from app.library.local_names import local_path
from app.library.web_file import is_web_file, web_file
from app.paths import Paths, resource
from app.settings import SettingsStore

__all__ = ["pull"]

# As a shell has it for a program that was interrupted.
_INTERRUPTED_STATUS = 130


def pull(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|ORG/NAME[:QUANTIZATION]|URL",
            help="A well-known model such as llama3.2, a repository on the hub, or the address of a GGUF file.",
        ),
    ],
    file: Annotated[str | None, typer.Option(help="Which GGUF, by name, where the quantization is not enough.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each step, in place of the progress bar.")
    ] = False,
    profile: ProfileOption = None,
) -> None:
    """Download a model (and its projector, if it has one). Started again, it goes on where it was."""
    with _interruptible(model):
        installed = asyncio.run(_pulled(Paths.of(profile or context.obj), model, file, _json_lines if as_json else _bar))
    if not as_json:
        print(f"{installed} is installed.")


async def _pulled(paths: Paths, model: str, file: str | None, shown: _Shown) -> str:
    async with _tools(paths) as tools:
        found = await _found(tools, model, file)
        # An earlier one may have ended in the middle; what else is there is left to whoever began it.
        await tools.downloads.restore(lambda record: record.id == found.id)
        with shown(own_folder(paths, tools.settings)) as show:
            unsubscribe = tools.downloads.changed.subscribe(show)
            download_id = tools.downloads.start(found.repository, found.file, found.projector)
            try:
                await _downloaded(tools.downloads, download_id)
            except DownloadError:
                # What is tidied up says nothing of how it ended.
                unsubscribe()
                await _give_up(tools.downloads, download_id)
                raise
            finally:
                unsubscribe()
        return found.file.label


async def _downloaded(downloads: DownloadManager, download_id: str) -> None:
    try:
        await downloads.wait(download_id)
    except asyncio.CancelledError:
        downloads.pause(download_id)
        await _settled(downloads, download_id)
        raise


async def _give_up(downloads: DownloadManager, download_id: str) -> None:
    """A full disk is not waited for here; what never began is not kept on the list."""
    downloads.pause(download_id)
    await _settled(downloads, download_id)
    if not any(progress.done_bytes for progress in downloads.downloads):
        downloads.cancel(download_id)
        await _settled(downloads, download_id)
        downloads.forget(download_id)


async def _settled(downloads: DownloadManager, download_id: str) -> None:
    with contextlib.suppress(DownloadError):
        await downloads.wait(download_id)


@dataclass(frozen=True, slots=True)
class _Found:
    repository: RemoteRepository
    file: RemoteFile
    projector: RemoteFile | None = None

    @property
    def id(self) -> str:
        return f"{self.repository.id}/{self.file.label}"


async def _found(tools: _Tools, model: str, file: str | None) -> _Found:
    endpoint = tools.hub.endpoint
    if is_web_file(model, endpoint=endpoint):
        return _Found(*await web_file(tools.hub.access, model))
    wanted = wanted_files(tools.catalogue, model, endpoint=endpoint)
    listing = await tools.hub.repository(wanted.repository)
    chosen = choose(listing, replace(wanted, file=file or wanted.file))
    return _Found(listing, chosen, tools.hub.best_projector(listing, chosen))


@dataclass(frozen=True, slots=True)
class _Tools:
    settings: SettingsStore
    catalogue: Catalogue
    hub: Hub
    downloads: DownloadManager


@asynccontextmanager
async def _tools(paths: Paths) -> AsyncGenerator[_Tools, None]:
    async with AsyncExitStack() as stack:
        settings = SettingsStore(paths.settings_file)
        hub = Hub(HubAccess.of(paths, settings))
        stack.push_async_callback(hub.close)
        downloads = DownloadManager(hub, settings, lambda: own_folder(paths, settings), DownloadRecords(paths.downloads))
        stack.push_async_callback(downloads.close)
        yield _Tools(settings, Catalogue.read(resource("catalogue.json")), hub, downloads)


@contextmanager
def _interruptible(model: str) -> Generator[None, None, None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nStopped. What has arrived is kept: `hearth pull {model}` goes on.", err=True)
        raise typer.Exit(_INTERRUPTED_STATUS) from None


# ----------------------------------------------------------------------------------------------------------- what is shown
_Shown = Callable[[Path], contextlib.AbstractContextManager[Callable[[DownloadProgress], None]]]


@contextmanager
def _bar(folder: Path) -> Generator[Callable[[DownloadProgress], None], None, None]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    task: TaskID | None = None
    with Progress(*columns, console=Console(stderr=True)) as bar:

        def show(progress: DownloadProgress) -> None:
            nonlocal task
            if task is None:
                # What is there already did not come now: it does not count as speed.
                task = bar.add_task(progress.label, total=progress.total_bytes, completed=progress.done_bytes)
            bar.update(task, completed=progress.done_bytes, total=progress.total_bytes, description=_described(progress))

        yield show


def _described(progress: DownloadProgress) -> str:
    match progress.state:
        case DownloadState.RUNNING:
            return progress.label
        case DownloadState.WAITING | DownloadState.PAUSED if progress.error:
            return f"{progress.label}: {progress.error}"
        case state:
            return f"{progress.label}: {state}"


@contextmanager
def _json_lines(folder: Path) -> Generator[Callable[[DownloadProgress], None], None, None]:
    def show(progress: DownloadProgress) -> None:
        body = {
            "status": progress.state.value,
            "repository": progress.repository,
            "file": progress.label,
            "completed_bytes": progress.done_bytes,
            "total_bytes": progress.total_bytes,
            "bytes_per_second": round(progress.bytes_per_s),
            "seconds_left": None if progress.eta_s is None else round(progress.eta_s),
            "error": progress.error,
        }
        if progress.state is DownloadState.DONE:
            body["path"] = str(local_path(folder, progress.repository, progress.label))
        print(json.dumps(body), flush=True)

    yield show
