"""Blocking work that a cancelled task must not walk away from."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["undisturbed"]

P = ParamSpec("P")
T = TypeVar("T")


async def undisturbed(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function on a thread; if this task is cancelled, wait for its end first, so that files are left alone."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            # Who is in a hurry may cancel more than once.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        raise
