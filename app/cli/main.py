"""The commands of `hearth`, and how their errors are told."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app.cli import (
    aliases,
    catalogue,
    fit,
    folder,
    formats,
    hub,
    imports,
    keys,
    memory,
    models,
    profiles,
    running,
    search,
    selftest,
    serve,
    window,
)
from app.cli import pull as pulling
from app.cli.options import EngineOption, ProfileOption, VerboseOption
from app.cli.printable import printable
from app.domain.errors import (
    AccessDenied,
    AppError,
    ChecksumMismatch,
    HubUnreachable,
    ModelNotFound,
    NotEnoughMemory,
    NotEnoughSpace,
    RepositoryNotFound,
)
from app.options import EngineMode, Options

__all__ = ["main"]

cli = typer.Typer(
    help="Run language models on your own computer. Without a command: open the window.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@cli.callback(invoke_without_command=True)
def hearth(
    context: typer.Context,
    hidden: Annotated[bool, typer.Option("--hidden", help="Start in the tray.")] = False,
    profile: ProfileOption = None,
    engine: EngineOption = EngineMode.PROCESS,
    verbose: VerboseOption = False,
) -> None:
    """Open the window; where there is no display, serve the API and say so."""
    context.obj = profile
    # What stands before a subcommand holds for it too.
    context.default_map = {"serve": {"engine": engine, "verbose": verbose}, "selftest": {"engine": engine}}
    if context.invoked_subcommand is None:
        raise typer.Exit(window.open_window(Options(profile=profile, engine=engine, verbose=verbose), hidden=hidden))


cli.command("serve")(serve.serve)
cli.add_typer(keys.keys, name="keys")
cli.command("pull")(pulling.pull)
cli.command("search")(search.search)
cli.add_typer(hub.hub, name="hub")
cli.command("catalogue")(catalogue.show_catalogue)
cli.command("list")(models.list_models)
cli.command("rm")(models.remove)
cli.command("verify")(models.verify)
cli.command("folder")(folder.folder)
cli.command("import")(imports.import_models)
cli.command("show")(profiles.show_model)
cli.command("set")(profiles.set_values)
cli.command("alias")(aliases.alias)
cli.command("ps")(running.running_models)
cli.command("devices")(memory.list_devices)
cli.command("fit")(fit.fit)
# What it was called before it knew of the hub.
cli.command("plan", hidden=True)(fit.fit)
cli.command("formats")(formats.show_formats)
cli.command("selftest")(selftest.selftest)


# 1 is any other error, 2 a command line that is wrong.
_EXIT_STATUS: dict[type[AppError], int] = {
    ModelNotFound: 3,
    RepositoryNotFound: 3,
    AccessDenied: 4,
    HubUnreachable: 5,
    NotEnoughSpace: 6,
    NotEnoughMemory: 6,
    ChecksumMismatch: 7,
}


def main() -> None:
    """Run the command line; an expected error is one line on stderr and an exit status of its own kind."""
    try:
        cli()
    except AppError as error:
        print(printable(f"hearth: {error}"), file=sys.stderr)
        sys.exit(next((status for kind, status in _EXIT_STATUS.items() if isinstance(error, kind)), 1))
