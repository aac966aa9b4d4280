"""Turning the server on and off, and moving it, from the window: one way for the page, the settings and the tray."""

from __future__ import annotations

from typing import Any

from app.service.services import Services

__all__ = ["change_server", "switch_server"]


async def switch_server(services: Services, *, on: bool) -> None:
    """Start or stop it, and keep that for the next start of the program. Raises AddressInUse. On the service loop."""
    services.settings.update(server_enabled=on)
    if on:
        await services.server.start()
    else:
        await services.server.stop()


async def change_server(services: Services, **changes: Any) -> None:
    """Save settings of the server; if it is wanted, it is started anew with them. On the service loop.

    Raises SettingsError and AddressInUse.
    """
    before = services.settings.current
    if services.settings.update(**changes) == before and services.server.state.running:
        return
    if services.settings.current.server_enabled:
        await services.server.stop()
        await services.server.start()
