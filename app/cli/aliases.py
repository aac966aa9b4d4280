"""`hearth alias`: names of one's own for models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.cli.options import ProfileOption
from app.cli.printable import cell
from app.domain.errors import InvalidRequest
from app.library.library import ModelLibrary
from app.library.model_names import known_alias, plain_name
from app.paths import Paths
from app.settings import SettingsStore

__all__ = ["alias"]


def alias(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="What programs will call the model, such as gpt-4o-mini.")] = None,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="An installed model.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Forget this name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Give a model another name, or list the names that were given. A Hearth that runs takes them on with the next request."""
    paths = Paths.of(profile or context.obj)
    settings = SettingsStore(paths.settings_file)
    aliases = settings.current.aliases
    if name is None:
        _show(aliases, as_json=as_json)
    elif remove:
        settings.update(aliases=_without(aliases, name))
        print(f"{name} is no name any more.")
    elif model is None:
        print(aliases[_known(aliases, name)])
    else:
        target = asyncio.run(_target(ModelLibrary(paths, settings), aliases, name, model))
        settings.update(aliases=_without(aliases, name, missing_ok=True) | {name: target})
        print(f"{name} is {target} from now on.")


async def _target(library: ModelLibrary, aliases: Mapping[str, str], name: str, model: str) -> str:
    """What to note down for `name`: the model as it was called, but never by another alias."""
    await library.refresh()
    own = next((one for one in library.models if one.id.casefold() == plain_name(name)), None)
    if own is not None:
        raise InvalidRequest(f"{own.id} is an installed model. Choose another name.")
    found = library.resolve(model)
    return model if known_alias(model, aliases) is None else found.id


def _show(aliases: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(aliases, indent=2))
        return
    table = Table("Name", "Model", box=None, pad_edge=False)
    for name, model in aliases.items():
        table.add_row(cell(name), cell(model))
    Console().print(table if aliases else "No names were given. Give one with: hearth alias NAME MODEL")


def _known(aliases: Mapping[str, str], name: str) -> str:
    """The alias as it was written. Raises InvalidRequest."""
    found = known_alias(name, aliases)
    if found is None:
        raise InvalidRequest(f"No model was given the name {name}. `hearth alias` lists those that were given.")
    return found


def _without(aliases: Mapping[str, str], name: str, *, missing_ok: bool = False) -> dict[str, str]:
    found = known_alias(name, aliases) if missing_ok else _known(aliases, name)
    return {known: model for known, model in aliases.items() if known != found}
