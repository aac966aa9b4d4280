"""Options of `serve` that say who may use the server, and what it fetches for them."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = ["AllowHostOption", "AllowOriginOption", "ApiKeyOption", "FetchImagesOption", "RequireKeyOption"]

ApiKeyOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="HEARTH_API_KEY",
        help="A key that is right besides those of `hearth keys`. Others can read command lines: better set HEARTH_API_KEY.",
    ),
]
RequireKeyOption: TypeAlias = Annotated[
    bool | None, typer.Option("--require-api-key/--no-require-api-key", help="Ask programs on this computer for a key too.")
]
AllowOriginOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(metavar="ORIGIN", help="Let web pages of this origin in, such as https://chat.example.org. Repeatable."),
]
AllowHostOption: TypeAlias = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Answer to this name of the computer too. Repeatable.")
]
FetchImagesOption: TypeAlias = Annotated[
    bool | None,
    typer.Option("--fetch-images/--no-fetch-images", help="Fetch pictures from public https addresses that requests name."),
]
