"""`hearth keys`: who may use the server."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli.options import ProfileOption
from app.cli.printable import cell
from app.paths import Paths
from app.service.api_keys import ApiKeys

__all__ = ["keys"]

keys = typer.Typer(help="API keys: make, list and revoke them. A running server follows at once.", no_args_is_help=True)

_NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="What the key is called, such as the program it is for.")]


@keys.command("create")
def create_key(context: typer.Context, name: _NameArgument, profile: ProfileOption = None) -> None:
    """Make a key and print it. It is shown this once: what is kept is its digest."""
    print(_keys(profile or context.obj).create(name))


@keys.command("list")
def list_keys(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """List the keys: names, not the keys themselves."""
    found = _keys(profile or context.obj).listed()
    if as_json:
        told = [{"name": key.name, "created": _stamp(key.created), "last_used": _stamp(key.last_used)} for key in found]
        print(json.dumps(told, indent=2))
        return
    table = Table("Name", "Created", "Last used", box=None, pad_edge=False)
    for key in found:
        table.add_row(cell(key.name), _minute(key.created), _minute(key.last_used))
    Console().print(table)


@keys.command("revoke")
def revoke_key(context: typer.Context, name: _NameArgument, profile: ProfileOption = None) -> None:
    """Take a key back."""
    _keys(profile or context.obj).revoke(name)
    print(f"Revoked {name}.")


def _keys(profile: Path | None) -> ApiKeys:
    return ApiKeys(Paths.of(profile).api_keys)


def _stamp(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _minute(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment is not None else "never"
