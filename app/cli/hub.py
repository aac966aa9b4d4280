"""`hearth hub`: how the hub is reached."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from app.cli.options import ProfileOption
from app.domain.errors import AccessDenied, AppError, HubUnreachable
from app.domain.hub import HubState, HubTest, TokenSource
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.paths import Paths
from app.settings import SettingsStore

__all__ = ["hub", "opened_hub"]

hub = typer.Typer(
    help="How the hub is reached: test the connection, keep an access token.", add_completion=False, no_args_is_help=True
)


@asynccontextmanager
async def opened_hub(paths: Paths) -> AsyncGenerator[Hub, None]:
    """The hub as the profile's settings have it."""
    opened = Hub(HubAccess.of(paths, SettingsStore(paths.settings_file)))
    try:
        yield opened
    finally:
        await opened.close()


@hub.command("test")
def try_connection(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Try the connection, and tell whose token is used."""

    async def run() -> HubTest:
        async with opened_hub(Paths.of(profile or context.obj)) as opened:
            return await opened.test()

    found = asyncio.run(run())
    if as_json:
        print(json.dumps(dataclasses.asdict(found), indent=2))
    else:
        _tell(found)
    if (error := _error_of(found)) is not None:
        raise error


@hub.command("token")
def keep_token(
    context: typer.Context,
    forget: Annotated[bool, typer.Option("--forget", help="Delete the one that was entered.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Enter an access token for the hub that is set: asked for, or read from the standard input."""
    paths = Paths.of(profile or context.obj)
    access = HubAccess.of(paths, SettingsStore(paths.settings_file))
    if forget:
        asyncio.run(access.forget_token())
        print(f"The access token for {access.host} is deleted.")
        return
    if access.in_the_clear:
        print(f"Mind that {access.endpoint} is not encrypted: who listens on the way can read the token.", file=sys.stderr)
    asked = sys.stdin.isatty()
    value = typer.prompt(f"Access token for {access.host}", hide_input=True) if asked else sys.stdin.readline()
    kept_in_keyring = asyncio.run(access.set_token(value)) is TokenSource.KEYRING
    place = (
        "the system's keyring" if kept_in_keyring else f"{paths.hub_tokens}, for you alone to read: no keyring can be used here"
    )
    print(f"The access token for {access.host} is kept in {place}.")


def _tell(found: HubTest) -> None:
    print(f"Hub:   {found.endpoint}")
    print(f"Proxy: {found.proxy or 'as the system has it'}")
    whose = f", {found.user}'s" if found.user else ""
    print(f"Token: {f'from {found.token}{whose}' if found.token else 'none'}")
    if found.latency_s:
        print(f"Time:  {found.latency_s * 1000:.0f} ms")


def _error_of(found: HubTest) -> AppError | None:
    """For the exit status."""
    match found.state:
        case HubState.OK:
            return None
        case HubState.TOKEN_REFUSED:
            return AccessDenied(found.reason)
        case _:
            return HubUnreachable(found.reason)
