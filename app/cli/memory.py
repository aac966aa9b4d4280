"""`hearth devices` and `hearth plan`: what there is to compute on, and what a model would take of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli.options import ProfileOption, is_path, memory_size
from app.domain.errors import AppError
from app.domain.memory import Device, MemoryPlan
from app.domain.models import InstalledModel
from app.engine.survey import survey
from app.library.library import ModelLibrary
from app.paths import Paths
from app.service.model_config import engine_config
from app.settings import SettingsStore

__all__ = ["list_devices", "plan"]


def list_devices(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List what this computer can run models on, with its memory."""
    devices = asyncio.run(survey(None)).devices
    if as_json:
        print(json.dumps([_device_body(device) for device in devices], indent=2))
        return
    table = Table("Name", "Device", "Kind", "Free", "Total", box=None, pad_edge=False)
    for device in devices:
        kind = device.kind.name.lower().replace("_", " ")
        table.add_row(
            escape(device.name),
            escape(device.description),
            kind,
            memory_size(device.free_bytes),
            memory_size(device.total_bytes),
        )
    Console().print(table)


def plan(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="ID|PATH", help="An installed model, or a GGUF file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Say what loading a model would take, without loading it. Exit status 1: it would not fit."""
    planned = asyncio.run(_planned(model, Paths.of(profile or context.obj)))
    if planned is None:
        raise AppError(f"llama.cpp does not say what {model} would take.")
    print(json.dumps(_plan_body(planned), indent=2)) if as_json else _show(planned)
    if not planned.fits:
        raise typer.Exit(1)


async def _planned(name: str, paths: Paths) -> MemoryPlan | None:
    settings = SettingsStore(paths.settings_file)
    model = await _find(name, ModelLibrary(paths, settings))
    return (await survey(engine_config(model, settings.current))).plan


async def _find(name: str, library: ModelLibrary) -> InstalledModel:
    if is_path(name):
        return await library.open_path(Path(name))
    await library.refresh()
    return library.resolve(name)


def _show(planned: MemoryPlan) -> None:
    table = Table("Device", "Weights", "Context", "Computing", "Pictures", "Sum", "Free", box=None, pad_edge=False)
    for need in planned.needs:
        sizes = (need.weights_bytes, need.kv_bytes, need.compute_bytes, need.projector_bytes, need.total_bytes, need.free_bytes)
        table.add_row(escape(need.device), *map(memory_size, sizes))
    Console().print(table)
    gpu = f", {planned.n_gpu_layers} of {planned.n_layers} layers on the GPU" if planned.n_gpu_layers else ""
    print(f"A context of {planned.n_ctx} tokens{gpu}: {'fits' if planned.fits else 'does not fit'}.")


def _device_body(device: Device) -> dict[str, Any]:
    return asdict(device) | {"kind": device.kind.name.lower()}


def _plan_body(planned: MemoryPlan) -> dict[str, Any]:
    needs = [asdict(need) | {"total_bytes": need.total_bytes, "fits": need.fits} for need in planned.needs]
    return asdict(planned) | {"needs": needs, "total_bytes": planned.total_bytes, "fits": planned.fits}
