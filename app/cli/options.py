"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from app.options import EngineMode

__all__ = ["EngineOption", "ProfileOption", "VerboseOption"]

ProfileOption: TypeAlias = Annotated[
    Path | None,
    # HEARTH_PROFILE is read by `Paths`: as an `envvar` here it would win over a --profile before the subcommand.
    typer.Option("--profile", metavar="DIR", help="Keep everything Hearth writes under DIR (or set HEARTH_PROFILE)."),
]
EngineOption: TypeAlias = Annotated[
    EngineMode, typer.Option("--engine", help="Run llama.cpp in a process per model, or on a thread (for debugging).")
]
VerboseOption: TypeAlias = Annotated[bool, typer.Option("--verbose", "-v", help="Log to the terminal too.")]
