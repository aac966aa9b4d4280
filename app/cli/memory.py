"""`hearth devices`: what there is to compute on."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.cli.options import memory_size
from app.cli.printable import cell
from app.domain.memory import Device
from app.engine.survey import survey

__all__ = ["list_devices"]


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
            cell(device.name),
            cell(device.description),
            kind,
            memory_size(device.free_bytes),
            memory_size(device.total_bytes),
        )
    Console().print(table)


def _device_body(device: Device) -> dict[str, Any]:
    return asdict(device) | {"kind": device.kind.name.lower()}
