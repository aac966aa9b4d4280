"""`hearth folder`: where the models are, and bringing them elsewhere."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.byte_progress import byte_progress
from app.cli.options import ProfileOption
from app.domain.models import MovedFolder
from app.library.library import ModelLibrary
from app.paths import Paths
from app.settings import SettingsStore

__all__ = ["folder"]


def folder(
    context: typer.Context,
    new: Annotated[Path | None, typer.Argument(help="Move everything there; downloads go there from then on.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Show the folder that downloads go to, or move it with all models in it.

    A running Hearth follows. Interrupted by Ctrl-C, everything stays where it was; after a crash, run it again.
    """
    paths = Paths.of(profile or context.obj)
    library = ModelLibrary(paths, SettingsStore(paths.settings_file))
    moved = asyncio.run(_move(library, new)) if new is not None else MovedFolder(library.folder)
    if as_json:
        print(json.dumps({"folder": str(moved.folder), "left": [str(file) for file in moved.left]}, indent=2))
        return
    print(moved.folder)
    for file in moved.left:
        print(f"{file} is in use and could not be deleted. Delete it later.", file=sys.stderr)


async def _move(library: ModelLibrary, new: Path) -> MovedFolder:
    try:
        with byte_progress("Moving") as show:
            return await library.move_folder(new, show)
    finally:
        await library.close()
