"""Names that callers of the server give: of the page they come from, and of the computer they think they talk to."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

__all__ = ["host_name", "web_origin"]

_LABELS = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST = 253


def web_origin(text: str) -> str:
    """An origin as browsers write it: scheme, host, and a port that is not the scheme's own. Raises ValueError."""
    parts = urlsplit(text.strip() if text.isprintable() else "")
    rest = (parts.path.rstrip("/"), parts.query, parts.fragment, parts.username, parts.password)
    if not parts.hostname or any(rest) or not _SCHEME.fullmatch(parts.scheme):
        raise ValueError(f"'{text[:200]}' is no origin. Write scheme and host, such as https://chat.example.org.")
    name = host_name(parts.hostname)
    host = f"[{name}]" if ":" in name else name
    port = parts.port
    return f"{parts.scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{parts.scheme}://{host}:{port}"


def host_name(text: str) -> str:
    """A computer's name or address in lower case, without brackets, port and the root's dot. Raises ValueError."""
    name = text.strip().lower() if text.isprintable() else ""
    try:
        return str(ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name))
    except ValueError:
        pass
    parts = urlsplit(f"//{name}")
    # Looking at the port checks it.
    bare = parts.port is None or parts.port >= 0
    name = (parts.hostname or "").removesuffix(".") if bare and parts.netloc == name and "@" not in name else ""
    if ":" in name:
        return str(ipaddress.ip_address(name))
    if len(name) > _LONGEST or not _LABELS.fullmatch(name):
        raise ValueError(f"'{text[:200]}' is no name of a computer, such as workbench.local.")
    return name
