"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from app.options import EngineMode

__all__ = ["EngineOption", "ProfileOption", "VerboseOption", "is_path", "memory_size"]

ProfileOption: TypeAlias = Annotated[
    Path | None,
    # HEARTH_PROFILE is read by `Paths`: as an `envvar` here it would win over a --profile before the subcommand.
    typer.Option("--profile", metavar="DIR", help="Keep everything Hearth writes under DIR (or set HEARTH_PROFILE)."),
]
EngineOption: TypeAlias = Annotated[
    EngineMode, typer.Option("--engine", help="Run llama.cpp in a process per model, or on a thread (for debugging).")
]
VerboseOption: TypeAlias = Annotated[bool, typer.Option("--verbose", "-v", help="Log to the terminal too.")]


def is_path(name: str) -> bool:
    """Whether a model's name is that of a file rather than of an installed model."""
    return name.lower().endswith(".gguf") or os.path.isfile(name)


def memory_size(size: int) -> str:
    """Memory is counted in powers of two, files are not."""
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{size / 1024**2:.0f} MiB"
