"""`hearth ps`: the models in memory of the program that runs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from app.cli.options import ProfileOption, memory_size
from app.cli.printable import cell
from app.paths import Paths
from app.settings import SettingsStore

__all__ = ["running_models"]

_FIGURES = ("Requests", "Written", "Kept", "Guessed", "Cells", "Step", "Python")
_NOT_RUNNING = "Hearth is not running, or its server is off."


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
        table.add_row(*map(cell, _in_memory(model, now)))
        if model.get("stats"):
            work.add_row(cell(model["id"]), *_figures(model["stats"]))
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
