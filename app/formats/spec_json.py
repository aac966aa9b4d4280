"""A spec as plain values, for people to read and for the table of families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from app.formats.spec import (
    ChannelSyntax,
    ContentSyntax,
    FormatSpec,
    JsonArguments,
    JsonCall,
    LiteralArguments,
    NamedCall,
    ReasoningSyntax,
    TaggedArguments,
    ToolSyntax,
)

__all__ = ["spec_from_json", "spec_to_json"]

# The classes that may stand at one place are told apart by a key "kind".
_KINDS: Mapping[str, type[Any]] = {
    "json_call": JsonCall,
    "named_call": NamedCall,
    "json": JsonArguments,
    "tagged": TaggedArguments,
    "literals": LiteralArguments,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}
_PARTS: Mapping[str, type[Any]] = {
    "reasoning": ReasoningSyntax,
    "tools": ToolSyntax,
    "content": ContentSyntax,
    "channels": ChannelSyntax,
}


def spec_to_json(spec: FormatSpec) -> dict[str, Any]:
    """Without what is as it is by default; parts that a format lacks are null."""
    return {name: _plain(getattr(spec, name)) for name in _PARTS}


def spec_from_json(value: Mapping[str, Any]) -> FormatSpec:
    """The inverse. Raises ValueError for what is no spec."""
    if unknown := sorted(value.keys() - _PARTS.keys()):
        raise ValueError(f"a spec has no part '{unknown[0]}'")
    return FormatSpec(**{name: None if part is None else _made(_PARTS[name], part) for name, part in value.items()})


def _plain(value: Any) -> Any:
    if type(value) not in (*_NAMES, *_PARTS.values()):
        return list(value) if isinstance(value, tuple) else value
    kind = {"kind": _NAMES[type(value)]} if type(value) in _NAMES else {}
    told = {field.name: getattr(value, field.name) for field in fields(value) if getattr(value, field.name) != field.default}
    return {**kind, **{name: _plain(item) for name, item in told.items()}}


def _made(cls: type[Any], value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{cls.__name__} is not made of {value!r}")
    known = {field.name: field for field in fields(cls)}
    if unknown := sorted(value.keys() - known.keys()):
        raise ValueError(f"{cls.__name__} has no '{unknown[0]}'")
    if missing := [name for name, field in known.items() if field.default is MISSING and name not in value]:
        raise ValueError(f"{cls.__name__} needs '{missing[0]}'")
    return cls(**{name: _read(item) for name, item in value.items()})


def _read(item: Any) -> Any:
    if isinstance(item, Mapping):
        kind = _KINDS.get(item.get("kind", ""))
        if kind is None:
            raise ValueError(f"there is no kind '{item.get('kind')}'")
        return _made(kind, {name: inner for name, inner in item.items() if name != "kind"})
    return tuple(item) if isinstance(item, list) else item
