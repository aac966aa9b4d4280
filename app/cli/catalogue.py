"""`hearth catalogue`: the models that `hearth pull` knows by short names."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Column, Table

from app.library.catalogue import Catalogue, CatalogueModel
from app.paths import resource

__all__ = ["show_catalogue"]


def show_catalogue(
    word: Annotated[str, typer.Argument(help="Only models with this in their name, description or abilities.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List well-known models by the short names that `hearth pull` takes."""
    models = [model for model in Catalogue.read(resource("catalogue.json")).models if word.casefold() in _searched(model)]
    if as_json:
        print(json.dumps([_as_json(model) for model in models], indent=2))
        return
    table = Table(Column("Name", no_wrap=True), "Parameters", "About", "Can", "Is", box=None, pad_edge=False)
    for model in models:
        table.add_row(
            model.name, model.parameters, decimal(model.size_bytes), ", ".join(sorted(model.capabilities)), model.about
        )
    Console().print(table)


def _searched(model: CatalogueModel) -> str:
    return " ".join((model.name, model.original, model.about, *model.capabilities)).casefold()


def _as_json(model: CatalogueModel) -> dict[str, Any]:
    seen = model.verified
    return {
        "name": model.name,
        "about": model.about,
        "repository": model.repository,
        "quantization": model.quantization,
        "original": model.original,
        "parameters": model.parameters,
        "size_bytes": model.size_bytes,
        "capabilities": sorted(model.capabilities),
        "verified": None if seen is None else {**asdict(seen), "on": seen.on.isoformat()},
    }
