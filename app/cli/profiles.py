"""`hearth show` and `hearth set`: everything about a model, and what is set for it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from app.cli.options import ProfileOption
from app.cli.printable import cell
from app.domain.errors import InvalidRequest
from app.domain.models import InstalledModel
from app.library.library import ModelLibrary
from app.library.provenance import Provenance, provenance_of
from app.paths import Paths
from app.service.model_profiles import EffectiveValue, ModelProfiles, ValueSource
from app.service.moved_models import MovedModels
from app.settings import AdapterSettings, SettingsStore

__all__ = ["set_values", "show_model"]

_TEXTS = ("system_prompt", "note")
_FILES = ("draft_model", "chat_template")
_NAMES_TOO = ("chat_template",)
# What stands between the parts of a list that was written without brackets.
_LISTS = {"devices": ",", "tensor_split": ",", "adapters": ",", "sampling.samplers": ";", "sampling.dry_sequence_breakers": ","}
_SOURCES = {
    ValueSource.MODEL: "set for it",
    ValueSource.GENERAL: "set for all models",
    ValueSource.FILE: "comes with the model",
    ValueSource.DEFAULT: "",
}


def show_model(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="ID", help="An installed model.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Show everything about a model: its files, where it came from, and every setting with its value."""

    async def run() -> tuple[InstalledModel, tuple[str, ...], Provenance | None, tuple[EffectiveValue, ...]]:
        async with _tools(profile or context.obj) as (library, profiles):
            found = library.resolve(model)
            return found, library.aliases_of(found), provenance_of(found.path), await profiles.effective(found.id)

    found, aliases, origin, values = asyncio.run(run())
    if as_json:
        print(json.dumps(_as_json(found, aliases, origin, values), indent=2, default=str))
        return
    facts = Table(box=None, pad_edge=False, show_header=False)
    for name, value in _facts(found, aliases, origin):
        facts.add_row(name, cell(value))
    Console().print(facts)
    settings = Table("Setting", "Value", "", box=None, pad_edge=False)
    for one in values:
        settings.add_row(one.name, cell(_text(one.value)), _SOURCES[one.source])
    Console().print("", settings)


def set_values(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="ID", help="An installed model.")],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]…", help="Such as n_ctx=8192 or sampling.temperature=0.2; NAME= takes it back."),
    ] = None,
    export: Annotated[bool, typer.Option("--export", help="Print what is set, to be taken over with --from.")] = False,
    source: Annotated[Path | None, typer.Option("--from", help="Take over an export from this file; - reads it.")] = None,
    profile: ProfileOption = None,
) -> None:
    """Set how one model is loaded and answers. `hearth show ID` lists the names."""

    async def run() -> dict[str, Any]:
        async with _tools(profile or context.obj) as (_, profiles):
            if source is not None:
                profiles.take(model, _read(source))
            if values:
                profiles.update(model, dict(map(_assignment, values)))
            return profiles.export(model)

    exported = asyncio.run(run())
    if export:
        print(json.dumps(exported, indent=2))
    elif not values and source is None:
        raise InvalidRequest(f"Say what to set: hearth set {model} n_ctx=8192. `hearth show {model}` lists the names.")


@asynccontextmanager
async def _tools(profile: Path | None) -> AsyncGenerator[tuple[ModelLibrary, ModelProfiles], None]:
    """What is set for a model is where the model is now, before and after."""
    paths = Paths.of(profile)
    settings = SettingsStore(paths.settings_file)
    library = ModelLibrary(paths, settings)
    await library.refresh()
    moved = MovedModels(library, settings, paths.model_files)
    await moved.follow()
    try:
        yield library, ModelProfiles(library, settings)
    finally:
        await moved.close()


def _assignment(text: str) -> tuple[str, Any]:
    """An empty value takes a setting back."""
    name, sign, value = text.partition("=")
    if not sign:
        raise InvalidRequest(f"'{text}' sets nothing. Write NAME=VALUE, such as n_ctx=8192.")
    return name.strip(), _typed(name.strip(), value) if value else None


def _typed(name: str, text: str) -> Any:
    """Lists need no brackets, texts no quotation marks; files begin in the folder of the shell. The rest is JSON."""
    if name in _TEXTS:
        return text
    if name in _FILES:
        # A template may also be the name of one that comes with Hearth.
        file = Path(text).expanduser()
        return str(file.absolute()) if name not in _NAMES_TOO or file.is_file() else text
    try:
        value = json.loads(text)
    except ValueError:
        value = text.split(_LISTS[name]) if name in _LISTS else text
    if name == "adapters":
        return [_adapter(one) for one in (value if isinstance(value, list) else [value])]
    return value if name not in _LISTS or isinstance(value, list) else [value]


def _adapter(given: Any) -> Any:
    """A file is enough, and {"path": …, "scale": …} says how strongly it is applied."""
    one = {"path": given} if isinstance(given, str) else given
    if isinstance(one, dict) and isinstance(one.get("path"), str):
        return {**one, "path": str(Path(one["path"]).expanduser().absolute())}
    return one


def _read(source: Path) -> dict[str, Any]:
    try:
        content = json.loads(sys.stdin.read() if str(source) == "-" else source.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{source} can't be read as JSON: {error}.") from error
    return content if isinstance(content, dict) else {}


def _facts(model: InstalledModel, aliases: tuple[str, ...], origin: Provenance | None) -> list[tuple[str, str]]:
    rows = [
        ("ID", model.id),
        ("Name", model.name),
        ("Also called", ", ".join(aliases)),
        ("Problem", model.problem or ""),
        ("Architecture", model.architecture),
        ("Parameters", f"{model.parameters:,}" if model.parameters else ""),
        ("Quantization", model.quantization),
        ("Context", f"{model.n_ctx_train:,} tokens" if model.n_ctx_train else ""),
        ("Can", ", ".join(sorted(model.capabilities))),
        ("Licence", model.license),
        ("Where", str(model.source)),
        ("Repository", model.repository),
        ("Revision", origin.revision if origin else ""),
        ("Size", decimal(model.size_bytes)),
        *(("File", str(file)) for file in model.files),
        *(("Missing", f"{part.kind} {part.name}") for part in model.missing),
    ]
    return [(name, value) for name, value in rows if value]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, AdapterSettings):
        return f"{value.path} ({value.scale:g})"
    return str(value)


def _as_json(
    model: InstalledModel, aliases: tuple[str, ...], origin: Provenance | None, values: tuple[EffectiveValue, ...]
) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "aliases": aliases,
        "problem": model.problem,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "quantization": model.quantization,
        "context_length": model.n_ctx_train,
        "capabilities": sorted(model.capabilities),
        "license": model.license,
        "source": str(model.source),
        "repository": model.repository,
        "revision": origin.revision if origin else None,
        "sha256": origin.sha256 if origin else None,
        "size_bytes": model.size_bytes,
        "files": [str(file) for file in model.files],
        "missing": [{"kind": str(part.kind), "name": part.name, "size_bytes": part.size_bytes} for part in model.missing],
        "settings": {one.name: {"value": one.value, "source": one.source.value} for one in values},
    }
