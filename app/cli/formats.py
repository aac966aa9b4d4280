"""`hearth formats`: how models talk, as read off their chat templates."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from app.cli.options import ProfileOption, is_path
from app.domain.errors import InvalidRequest, NotAModel, RequestError
from app.domain.generation import ChatRequest, Tool
from app.domain.messages import Message, Role, TextPart, ToolCall
from app.domain.models import Capability, InstalledModel
from app.domain.prompt import ControlText, PlainText, PromptSegment
from app.formats import ChatFormat
from app.library.library import ModelLibrary
from app.library.stored_template import StoredTemplate, read_template
from app.paths import Paths
from app.service.model_config import chat_template, effective_settings
from app.settings import Settings, SettingsStore

__all__ = ["show_formats"]

_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
_CONVERSATION = ChatRequest(
    model="",
    messages=(
        Message.of(Role.SYSTEM, "Be brief."),
        Message.of(Role.USER, "Will it rain in Paris?"),
        Message(Role.ASSISTANT, tool_calls=(ToolCall("call00001", "get_weather", '{"city": "Paris", "days": 2}'),)),
        Message(Role.TOOL, (TextPart("sunny"),), tool_call_id="call00001"),
    ),
    tools=(Tool("get_weather", "The weather of a city.", json.dumps(_PARAMETERS)),),
)
_THINKING = {"begun": "begun by the prompt", "expected": "left to the model", "off": "off where nobody asks for it"}
_PARTS = ("reasoning", "content", "tools", "channels")


@dataclass(frozen=True, slots=True)
class _Found:
    """A model's format. `template` says which template that is."""

    name: str
    template: str
    format: ChatFormat


def show_formats(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(metavar="[ID|PATH]", help="An installed model, a GGUF file, or a chat template's .jinja file."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Say how models call tools and reason, as read off their chat templates. Exit status 1: the model's is broken."""
    paths = Paths.of(profile or context.obj)
    settings = SettingsStore(paths.settings_file)
    if model is None:
        _list(asyncio.run(ModelLibrary(paths, settings).refresh()), settings.current, as_json=as_json)
        return
    found = asyncio.run(_found(model, paths, settings))
    print(json.dumps(_body(found), indent=2, ensure_ascii=False)) if as_json else _show(found)
    if found.format.problem is not None:
        raise typer.Exit(1)


# ---------------------------------------------------------------------------------------------------------- which template
async def _found(name: str, paths: Paths, settings: SettingsStore) -> _Found:
    """Raises ModelNotFound, NotAModel, ModelLoadFailed and InvalidRequest, which all say what to name instead."""
    if name.lower().endswith((".jinja", ".jinja2", ".j2")):
        # Which tokens begin and end its texts is in a model's file alone.
        stored = StoredTemplate(_text_of(Path(name)), "<bos>", "<eos>")
        return _formatted(name, "the file", stored)
    if is_path(name):
        return _of_file(name, Path(name))
    library = ModelLibrary(paths, settings)
    await library.refresh()
    return _of_installed(library.resolve(name), settings.current)


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{path} can't be read as text. Name a chat template's file.", param="model") from error


def _of_file(name: str, path: Path) -> _Found:
    return _formatted(name, "its own", read_template(path))


def _of_installed(model: InstalledModel, settings: Settings) -> _Found:
    """With the template that was chosen for it, if one was."""
    chosen = effective_settings(model.id, settings).chat_template
    if not chosen:
        return _of_file(model.id, model.path)
    stored = read_template(model.path)
    source = chat_template(model.id, chosen)
    return _formatted(model.id, f"{chosen}, as set", StoredTemplate(source, stored.bos_text, stored.eos_text))


def _formatted(name: str, template: str, stored: StoredTemplate) -> _Found:
    made = ChatFormat.of(stored.source, bos_text=stored.bos_text, eos_text=stored.eos_text)
    return _Found(name, template if stored.source.strip() else "none: chatml", made)


# --------------------------------------------------------------------------------------------------------------- one model
def _body(found: _Found) -> dict[str, Any]:
    try:
        told: dict[str, Any] = {"prompt": list(map(_segment, found.format.prompt(_CONVERSATION))), "refusal": None}
    except RequestError as error:
        told = {"prompt": None, "refusal": str(error)}
    return {"model": found.name, "template": found.template, **found.format.describe(), **told}


def _segment(segment: PromptSegment) -> dict[str, str]:
    match segment:
        case ControlText(text):
            return {"control": text}
        case PlainText(text):
            return {"plain": text}
        case _:
            raise AssertionError("the conversation holds text alone")


def _show(found: _Found) -> None:
    console, body = Console(), _body(found)
    table = Table("", Column("", overflow="fold"), "From", box=None, pad_edge=False)
    for name in ("model", "template", "problem", "family"):
        table.add_row(name, Text(body[name] or "-"))
    table.add_row("reasoning", _THINKING[body["thinking"]] if body["reasoning"] or body["channels"] else "-")
    table.add_row("takes", Text(", ".join(name for name, value in body["traits"].items() if value is True)))
    for efforts, args in _by_arguments(body["efforts"]):
        table.add_row(Text(f"effort {efforts}"), Text(args))
    for part in _PARTS:
        origin = body["origins"].get(part, "")
        for name, value in _leaves(part, body[part]):
            table.add_row(Text(name), Text(_shown(value)), Text(origin))
    console.print(table)
    if body["example"]:
        console.print("\nA call, as the model writes it:", style="bold")
        console.print(Text(body["example"]), soft_wrap=True)
    console.print("\nA prompt, with what is tokenized as plain text between ⟨ and ⟩:", style="bold")
    console.print(_prompt(body["prompt"]) if body["prompt"] else Text(body["refusal"]), soft_wrap=True)


def _by_arguments(efforts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for args, same in groupby(efforts, key=lambda effort: _shown(efforts[effort])):
        names = list(same)
        yield names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}", args


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}.{key}", item)
    elif value is not None:
        yield name, value


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _prompt(segments: list[dict[str, str]]) -> Text:
    text = Text()
    for segment in segments:
        text.append(segment.get("control", ""), style="cyan")
        if plain := segment.get("plain"):
            text.append(f"⟨{plain}⟩")
    return text


# -------------------------------------------------------------------------------------------------------------- all models
def _list(installed: tuple[InstalledModel, ...], settings: Settings, *, as_json: bool) -> None:
    rows = [_row(model, settings) for model in installed if _talks(model)]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    console = Console()
    table = Table("ID", "Template", "Family", "Calls", "Reasoning", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(row[name] or "-") for name in ("id", "template", "family", "calls", "reasoning")))
    console.print(table)
    for row in rows:
        if row["problem"] is not None:
            console.print(Text(f"\n{row['id']}: {row['problem']}"), soft_wrap=True)


def _talks(model: InstalledModel) -> bool:
    return model.can(Capability.CHAT) or model.can(Capability.COMPLETION) or model.problem is not None


def _row(model: InstalledModel, settings: Settings) -> dict[str, str | None]:
    row: dict[str, str | None] = dict.fromkeys(("id", "template", "family", "calls", "reasoning", "problem"))
    row["id"] = model.id
    if model.problem is not None:
        return row | {"problem": model.problem}
    try:
        found = _of_installed(model, settings)
    except NotAModel as error:
        return row | {"problem": str(error)}
    told = found.format.describe()
    reasoning = told["reasoning"]
    return row | {
        "template": found.template,
        "family": told["family"],
        "calls": _calls(told),
        "reasoning": f"{reasoning['open']} … {reasoning['close']}" if reasoning else _channels(told),
        "problem": told["problem"],
    }


def _calls(told: Mapping[str, Any]) -> str | None:
    """The first line of a call, and whether the template knows it."""
    if not told["example"]:
        return None
    first = str(told["example"]).strip().splitlines()[0]
    return f"{first} (prompted)" if told["origins"].get("tools") == "prompted" else first


def _channels(told: Mapping[str, Any]) -> str | None:
    return ", ".join(told["channels"]["reasoning"]) if told["channels"] else None
