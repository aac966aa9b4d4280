"""`hearth fit`: whether a model fits this computer, before it is loaded or downloaded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from app.cli.options import ProfileOption, is_path, memory_size
from app.cli.printable import cell, printable
from app.domain.errors import AppError, ModelNotFound
from app.domain.fit import Fit, FitVerdict, shortage
from app.domain.models import RemoteFile, RemoteRepository
from app.engine.process import ProcessLauncher
from app.library.choosing import choose, wanted_files
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.library.library import ModelLibrary
from app.library.outlines import Outlines
from app.library.remote_header import RemoteHeaders
from app.library.web_file import is_web_file, web_file
from app.paths import Paths
from app.service.fit import FitService
from app.service.models import ModelManager
from app.settings import SettingsStore

__all__ = ["FitTools", "fit", "fit_tools"]

# As for a load that fails of it.
_TOO_LARGE_STATUS = 6


def fit(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|PATH|ORG/REPO[:QUANTIZATION]|URL",
            help="An installed model, a GGUF file here or on the web, a name of the catalogue, or a repository on the hub.",
        ),
    ],
    ctx_size: Annotated[int | None, typer.Option(min=1, metavar="N", help="For a context of N tokens.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Say whether a model fits and what it would take, without loading or downloading it. Exit status 6: too large."""
    told = asyncio.run(_asked(model, ctx_size, Paths.of(profile or context.obj)))
    match told:
        case _One():
            print(json.dumps(_one_body(told), indent=2)) if as_json else _show_one(told)
        case _Many():
            print(json.dumps(_many_body(told), indent=2)) if as_json else _show_many(told)
    if not told.fits:
        raise typer.Exit(_TOO_LARGE_STATUS)


@dataclass(frozen=True, slots=True)
class _One:
    name: str
    fit: Fit

    @property
    def fits(self) -> bool:
        return self.fit.verdict is not FitVerdict.TOO_LARGE


@dataclass(frozen=True, slots=True)
class _Many:
    """The models of a repository, each with what is said of it."""

    repository: RemoteRepository
    told: tuple[tuple[RemoteFile, Fit | AppError], ...]
    recommended: RemoteFile | None

    @property
    def fits(self) -> bool:
        return any(isinstance(told, Fit) and told.verdict is not FitVerdict.TOO_LARGE for _, told in self.told)


@dataclass(frozen=True, slots=True)
class FitTools:
    """What says whether models fit, and what it asks."""

    library: ModelLibrary
    hub: Hub
    service: FitService


async def _asked(name: str, n_ctx: int | None, paths: Paths) -> _One | _Many:
    async with fit_tools(paths) as tools:
        if "://" in name:
            return await _on_hub(tools, name, n_ctx)
        if is_path(name):
            opened = await tools.library.open_path(Path(name))
            return _One(opened.id, await tools.service.installed(opened.id, n_ctx=n_ctx))
        await tools.library.refresh()
        try:
            installed = tools.library.resolve(name)
        except ModelNotFound:
            if "/" not in name and tools.library.catalogue.meaning(name) is None:
                raise
            return await _on_hub(tools, name, n_ctx)
        return _One(installed.id, await tools.service.installed(installed.id, n_ctx=n_ctx))


async def _on_hub(tools: FitTools, name: str, n_ctx: int | None) -> _One | _Many:
    if is_web_file(name, endpoint=tools.hub.endpoint):
        elsewhere, only = await web_file(tools.hub.access, name)
        return _One(only.label, await tools.service.remote(elsewhere, only, n_ctx=n_ctx))
    wanted = wanted_files(tools.library.catalogue, name, endpoint=tools.hub.endpoint)
    repository = await tools.hub.repository(wanted.repository)

    async def told_of(file: RemoteFile) -> Fit:
        return await tools.service.remote(repository, file, tools.hub.best_projector(repository, file), n_ctx=n_ctx)

    if wanted.quantization or wanted.file:
        chosen = choose(repository, wanted)
        return _One(f"{repository.id}:{chosen.quantization or chosen.label}", await told_of(chosen))
    # Raises for a repository without models.
    choose(repository, wanted)
    told = await asyncio.gather(*(_or_error(told_of, file) for file in repository.models))
    if told and all(isinstance(answer, AppError) for _, answer in told):
        # Nothing could be looked at: that is no answer.
        raise next(answer for _, answer in told if isinstance(answer, AppError))
    return _Many(repository, tuple(told), await tools.service.recommended(repository))


async def _or_error(told_of: Callable[[RemoteFile], Awaitable[Fit]], file: RemoteFile) -> tuple[RemoteFile, Fit | AppError]:
    try:
        return file, await told_of(file)
    except AppError as error:
        return file, error


@asynccontextmanager
async def fit_tools(paths: Paths) -> AsyncGenerator[FitTools, None]:
    async with AsyncExitStack() as stack:
        settings = SettingsStore(paths.settings_file)
        library, launcher = ModelLibrary(paths, settings), ProcessLauncher()
        hub, outlines = Hub(HubAccess.of(paths, settings)), Outlines(paths.outlines)
        stack.push_async_callback(hub.close)
        models = ModelManager(library, launcher, settings)
        stack.push_async_callback(models.close)
        headers = RemoteHeaders(hub, outlines)
        stack.push_async_callback(headers.close)
        service = FitService(library, models, launcher, settings, headers, outlines)
        stack.push_async_callback(service.close)
        yield FitTools(library, hub, service)


# ---------------------------------------------------------------------------------------------------------- for people
def _show_one(told: _One) -> None:
    plan = told.fit.plan
    drafts = any(need.draft_bytes for need in plan.needs)
    columns = ("Device", "Weights", "Context", "Computing", "Pictures", *(("Draft",) if drafts else ()), "Sum", "Free")
    table = Table(*columns, box=None, pad_edge=False)
    for need in plan.needs:
        parts = (need.weights_bytes, need.kv_bytes, need.compute_bytes, need.projector_bytes)
        sizes = (*parts, *((need.draft_bytes,) if drafts else ()), need.total_bytes, need.free_bytes)
        table.add_row(cell(need.device), *map(memory_size, sizes))
    Console().print(table)
    if told.fits:
        verdict = f"{told.name}, with a context of {plan.n_ctx} tokens: {_verdict(told.fit)}"
    else:
        verdict = f"{told.name} does not fit: {shortage(plan)}"
    print(printable(f"{verdict}.{_reservation(told.fit)}"))


def _show_many(told: _Many) -> None:
    table = Table("", "File", "Size", "Memory", "Context", "Fits", box=None, pad_edge=False)
    for file, fit in told.told:
        mark = "*" if file == told.recommended else ""
        sizes = (mark, cell(file.label), decimal(file.size_bytes))
        match fit:
            case Fit():
                memory = ("~" if fit.estimated else "") + memory_size(fit.plan.total_bytes)
                table.add_row(*sizes, memory, str(fit.plan.n_ctx), _verdict(fit))
            case AppError():
                table.add_row(*sizes, "?", "?", cell(str(fit)))
    Console().print(table)
    if told.recommended is not None:
        print(f"* Recommended: hearth pull {told.repository.id}:{told.recommended.quantization}")
    if any(isinstance(fit, Fit) and fit.estimated for _, fit in told.told):
        print("~ Estimated: the file itself could not be read.")


def _verdict(fit: Fit) -> str:
    plan = fit.plan
    match fit.verdict:
        case FitVerdict.GPU:
            return "fits on the GPU"
        case FitVerdict.PARTLY:
            return f"fits, with {plan.n_gpu_layers} of {plan.n_layers} layers on the GPU"
        case FitVerdict.MEMORY:
            return "fits in memory"
        case FitVerdict.TOO_LARGE:
            return f"too large by {memory_size(fit.short_bytes)}"


def _reservation(fit: Fit) -> str:
    return " This is estimated: the file itself could not be read." if fit.estimated else ""


# -------------------------------------------------------------------------------------------------------- for programs
def _one_body(told: _One) -> dict[str, Any]:
    return {"name": told.name, **_fit_body(told.fit)}


def _many_body(told: _Many) -> dict[str, Any]:
    files = [
        {
            "file": file.label,
            "quantization": file.quantization,
            "file_bytes": file.size_bytes,
            "recommended": file == told.recommended,
            **(_fit_body(fit) if isinstance(fit, Fit) else {"error": str(fit)}),
        }
        for file, fit in told.told
    ]
    return {"repository": told.repository.id, "revision": told.repository.revision, "files": files}


def _fit_body(fit: Fit) -> dict[str, Any]:
    plan = fit.plan
    needs = [asdict(need) | {"total_bytes": need.total_bytes, "fits": need.fits} for need in plan.needs]
    told = {"verdict": str(fit.verdict), "fits": plan.fits, "short_bytes": fit.short_bytes, "estimated": fit.estimated}
    return told | asdict(plan) | {"needs": needs, "total_bytes": plan.total_bytes}
