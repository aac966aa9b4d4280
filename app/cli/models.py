"""`hearth list`, `pull`, `rm` and `ps`: models, from the command line."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from app.cli.options import ProfileOption, memory_size
from app.domain.errors import InvalidRequest, RepositoryNotFound
from app.domain.models import DownloadProgress, InstalledModel, RemoteFile, RemoteRepository
from app.library.catalogue import Catalogue
from app.library.downloads import DownloadManager
from app.library.hub import Hub
from app.library.library import ModelLibrary
from app.paths import Paths, resource
from app.settings import SettingsStore

__all__ = ["Wanted", "choose", "list_models", "pull", "remove", "running_models", "split", "wanted_files"]

# A good size for its quality on most machines, then what most repositories have.
_PREFERRED = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q8_0")
_FIGURES = ("Requests", "Written", "Kept", "Guessed", "Cells", "Step", "Python")
_NOT_RUNNING = "Hearth is not running, or its server is off."


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


def running_models(
    context: typer.Context,
    api_key: Annotated[
        str | None, typer.Option(envvar="HEARTH_API_KEY", help="A key of the server, where it asks for one.")
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """List the models in memory of the Hearth that runs now, and what they have done.

    Requests: running+waiting. Written: tokens. Kept: share of the prompts' tokens that had been computed before. Guessed: share
    of the tokens guessed ahead that were right. Cells: share of the context in use. Step: time of one. Python: what Hearth
    itself takes of it, without choosing tokens.
    """
    try:
        served = _served_models(Paths.of(profile or context.obj), api_key)
    except _NotServed as error:
        print(error)
        raise typer.Exit(1) from error
    loaded = [model for model in served if model.get("state") != "unloaded"]
    table = Table("ID", "State", "Context", "Memory", "GPU layers", "Leaves", "Also called", box=None, pad_edge=False)
    work = Table("ID", *_FIGURES, box=None, pad_edge=False)
    now = datetime.now(UTC)
    for model in loaded:
        table.add_row(*map(escape, _in_memory(model, now)))
        if model.get("stats"):
            work.add_row(escape(model["id"]), *_figures(model["stats"]))
    Console().print(table)
    if work.row_count:
        Console().print("", work)
    for model in loaded:
        if model.get("warning"):
            print(f"{model['id']}: {model['warning']}")


def _in_memory(model: dict[str, Any], now: datetime) -> tuple[str, ...]:
    """A row about a model as the server describes it."""
    memory = model.get("memory_bytes")
    return (
        model["id"],
        str(model.get("state")),
        str(model.get("context_length") or ""),
        memory_size(memory) if memory else "",
        str(model.get("gpu_layers") if model.get("gpu_layers") is not None else ""),
        _leaves(model, now),
        ", ".join(model.get("aliases") or ()),
    )


def _leaves(model: dict[str, Any], now: datetime) -> str:
    """When a model leaves the memory, in words."""
    told = model.get("unload_at")
    if told is None:
        return "never" if model.get("state") == "ready" and not model.get("active_requests") else ""
    seconds = max(0, round((datetime.fromisoformat(told) - now).total_seconds()))
    return f"in {seconds} s" if seconds < 90 else f"in {round(seconds / 60)} min"


def _figures(stats: dict[str, Any]) -> list[str]:
    """One cell for each of `_FIGURES`."""
    steps = max(1, stats["steps"])
    python_s = stats["fill_s"] + stats["post_s"] + stats["send_s"]
    return [
        f"{stats['active']}+{stats['waiting']}",
        f"{stats['written_tokens']}",
        _share(stats["cached_tokens"], stats["prompt_tokens"]),
        _share(stats["accepted"], stats["drafted"]),
        _share(stats["cells_used"], stats["cells"]),
        f"{1e3 * (stats['decode_s'] + stats['sample_s'] + python_s) / steps:.1f}ms",
        f"{1e3 * python_s / steps:.2f}ms",
    ]


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f}%" if whole else "-"


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
    settings = SettingsStore(paths.settings_file).current
    wanted = wanted_files(Catalogue.read(resource("catalogue.json")), repository)

    async def run() -> None:
        hub = Hub(endpoint=settings.hub_endpoint)
        listing = await hub.repository(wanted.repository)
        chosen = choose(listing, quantization=wanted.quantization, file=file, usual=wanted.usual)
        downloads = DownloadManager(hub, paths.models)
        try:
            with _progress_bar(chosen.label) as show:
                downloads.changed.subscribe(show)
                await downloads.wait(downloads.start(listing, chosen, hub.best_projector(listing, chosen)))
        finally:
            await downloads.close()
        print(f"{chosen.label} is installed.")

    asyncio.run(run())


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


class _NotServed(Exception):
    """There is no list of models to be had; the message says why."""


def _served_models(paths: Paths, api_key: str | None) -> list[dict[str, Any]]:
    """Ask the running program of this profile. Raises SettingsError and _NotServed."""
    key = api_key or SettingsStore(paths.settings_file).current.api_key
    try:
        address = json.loads(paths.running_file.read_text("utf-8"))["address"]
        request = urllib.request.Request(f"{address}/models", headers={"Authorization": f"Bearer {key or 'none'}"})
        with urllib.request.urlopen(request, timeout=5) as response:
            return [{"id": model["id"], **model} for model in json.load(response)["data"]]
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.UNAUTHORIZED:
            raise _NotServed(f"Hearth runs at {address} and asks for an API key: set HEARTH_API_KEY.") from error
        raise _NotServed(_NOT_RUNNING) from error
    except (OSError, ValueError, LookupError, TypeError, HTTPException) as error:
        # No file, an outdated one, or another program at its address now.
        raise _NotServed(_NOT_RUNNING) from error


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
