"""`hearth search`: models on the hub."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import sys
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from app.cli.fit import fit_tools
from app.cli.hub import opened_hub
from app.cli.options import ProfileOption
from app.cli.printable import cell
from app.domain.errors import InvalidRequest
from app.domain.fit import FitVerdict
from app.domain.hub import HubModel, HubQuery, HubSort
from app.domain.models import Capability
from app.paths import Paths
from app.service.fit import FitService

__all__ = ["search"]

_SIZES: Final = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
# Few hits of many may fit.
_PAGES: Final = 10
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)([kmbt]?)", re.IGNORECASE)


def search(
    context: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(help="What the name must hold; without words: what trends.")] = None,
    sort: Annotated[HubSort, typer.Option(help="Which come first.")] = HubSort.TRENDING,
    can: Annotated[list[Capability] | None, typer.Option(help="Only models that can do this; may be given again.")] = None,
    licenses: Annotated[
        list[str] | None, typer.Option("--license", help="Only under this licence, such as apache-2.0; may be given again.")
    ] = None,
    author: Annotated[str, typer.Option(help="Only of this organisation or person.")] = "",
    min_size: Annotated[str, typer.Option(metavar="PARAMETERS", help="No smaller ones, such as 3B.")] = "0",
    max_size: Annotated[str, typer.Option(metavar="PARAMETERS", help="No larger ones, such as 8B.")] = "0",
    fits: Annotated[
        bool, typer.Option("--fits", help="Only what fits this computer now, as Q4_K_M and as far as its size tells.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Search the hub for models in GGUF."""
    query = HubQuery(
        text=" ".join(words or ()),
        sort=sort,
        capabilities=frozenset(can or ()),
        licenses=frozenset(licenses or ()),
        author=author,
        least_parameters=_parameters(min_size, "--min-size"),
        most_parameters=_parameters(max_size, "--max-size"),
    )
    models = asyncio.run(_found(Paths.of(profile or context.obj), query, limit, fits=fits))
    if as_json:
        print(json.dumps([_as_json(model) for model in models], indent=2))
    elif models:
        Console().print(_table(models))
    else:
        print("Nothing on the hub fits.", file=sys.stderr)


async def _found(paths: Paths, query: HubQuery, limit: int, *, fits: bool) -> list[HubModel]:
    """As many as are wanted, from some pages at most."""
    async with AsyncExitStack() as stack:
        tools = await stack.enter_async_context(fit_tools(paths)) if fits else None
        hub = tools.hub if tools is not None else await stack.enter_async_context(opened_hub(paths))
        models: list[HubModel] = []
        for _ in range(_PAGES):
            page = await hub.search(query)
            models += [model for model in page.models if tools is None or await _fits(tools.service, model)]
            query = dataclasses.replace(query, cursor=page.next)
            if not page.next or len(models) >= limit:
                break
        return models[:limit]


async def _fits(service: FitService, model: HubModel) -> bool:
    size = model.usual_size_bytes
    return bool(size) and await service.rough(size, model.n_ctx_train) is not FitVerdict.TOO_LARGE


def _parameters(text: str, option: str) -> int:
    """`8B`, `1.5b`, `270M` as a count."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise InvalidRequest(f"{option} must be a count of parameters such as 8B or 270M, not '{text[:40]}'.", param=option)
    return round(float(found[1]) * _SIZES[found[2].lower()])


def _table(models: list[HubModel]) -> Table:
    columns = ("Parameters", "Downloads", "Likes", "Updated", "Licence", "Can")
    table = Table(Column("Repository", no_wrap=True), *columns, box=None, pad_edge=False)
    for model in models:
        row = (
            model.id,
            _short(model.parameters) if model.parameters else "?",
            _short(model.downloads),
            _short(model.likes),
            model.updated.date().isoformat() if model.updated else "?",
            f"{model.license or '?'}{' (gated)' if model.gated else ''}",
            ", ".join(sorted(model.capabilities - {Capability.COMPLETION})),
        )
        table.add_row(*map(cell, row))
    return table


def _short(count: int) -> str:
    """1234567 as 1.2M."""
    for letter in "TBMK":
        size = _SIZES[letter.lower()]
        if count >= size:
            return f"{count / size:.{0 if count >= 100 * size else 1}f}{letter}"
    return str(count)


def _as_json(model: HubModel) -> dict[str, Any]:
    updated = model.updated.isoformat() if model.updated else None
    return {**dataclasses.asdict(model), "updated": updated, "capabilities": sorted(model.capabilities)}
