"""Addresses that a person sets: of the hub, and of the proxy on the way to it."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

from app.domain.origins import host_name

__all__ = ["OFFICIAL_HUB", "hub_endpoint", "is_official_hub", "proxy_address", "without_password"]

OFFICIAL_HUB: Final = "https://huggingface.co"
_PROXY_SCHEMES: Final = frozenset({"http", "https", "socks5", "socks5h"})
_OFFICIAL_NAMES: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})


def hub_endpoint(text: str) -> str:
    """The address of a hub or a mirror, without a slash at its end; "" stands for the official one. Raises ValueError."""
    wanted = text.strip().rstrip("/")
    if not wanted or wanted.casefold() in _OFFICIAL_NAMES:
        return OFFICIAL_HUB
    parts = _split(wanted)
    if parts is not None and parts.netloc.casefold() in _OFFICIAL_NAMES:
        return OFFICIAL_HUB
    if parts is None or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise ValueError(f"'{text[:200]}' is no address of a hub. Write it such as {OFFICIAL_HUB}.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("The hub's address must hold no user name or password. Enter an access token instead.")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"


def is_official_hub(endpoint: str) -> bool:
    return endpoint == OFFICIAL_HUB


def proxy_address(text: str) -> str:
    """The address of a proxy; "" stands for the system's. Raises ValueError."""
    wanted = text.strip().rstrip("/")
    if not wanted:
        return ""
    parts = _split(wanted)
    if parts is None or parts.scheme not in _PROXY_SCHEMES or parts.path or parts.query or parts.fragment:
        shown = without_password(text)[:200]
        raise ValueError(f"'{shown}' is no address of a proxy. Write it such as http://proxy.example.org:8080 or socks5://…")
    return wanted


def without_password(address: str) -> str:
    """An address as it may be shown."""
    head, at, host = address.strip().rpartition("@")
    if not at:
        return address
    scheme, slashes, _ = head.rpartition("//")
    return f"{scheme}{slashes}…@{host}"


def _split(address: str) -> SplitResult | None:
    """None for what has no host, or a wrong one or a wrong port."""
    if not address.isprintable() or " " in address:
        return None
    try:
        parts = urlsplit(address)
        # Looking at the port checks it.
        host_name(parts.hostname or "") if parts.port is None or parts.port >= 0 else None
    except ValueError:
        return None
    return parts
