"""Who may use the port: checks of Host, Origin and API key that run before a request's body is read."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.server.errors import Problem, http_problem

__all__ = ["AccessPolicy", "Guard", "is_loopback"]

# Containers reach the machine they run on by these names.
_CONTAINER_HOSTS = frozenset({"host.docker.internal", "host.containers.internal"})
# Pages that an installed program brings along; no site on the web can have these origins.
_APP_SCHEMES = frozenset({"app", "file", "tauri", "vscode-webview", "vscode-file"})
_OPEN_PATHS = frozenset({"/", "/health"})
_EXPOSED = "x-request-id, x-hearth-ignored, x-should-retry, retry-after"


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What the server lets in. `host` is the address it is bound to; an empty `api_key` asks for none.

    `allowed_origins` are web pages that a person has allowed by name, such as "https://chat.example.org".
    """

    host: str = "127.0.0.1"
    api_key: str = ""
    allowed_origins: frozenset[str] = field(default_factory=frozenset)
    machine_name: str = field(default_factory=socket.gethostname)

    def refusal(self, *, path: str, method: str, headers: Headers) -> Problem | None:
        """Why the request is turned away, or None."""
        return (
            self._host_refusal(headers)
            or self._origin_refusal(headers)
            or self._key_refusal(path, method, headers)
            or self._type_refusal(method, headers)
        )

    def allows_origin(self, origin: str) -> bool:
        if origin in self.allowed_origins:
            return True
        try:
            parts = urlsplit(origin)
            name = parts.hostname or ""
        except ValueError:
            return False
        if parts.scheme in _APP_SCHEMES:
            return True
        return parts.scheme in {"http", "https"} and _names_this_machine(name)

    def _host_refusal(self, headers: Headers) -> Problem | None:
        """A web page whose name was made to point at this machine still sends its own name as Host (DNS rebinding)."""
        if not is_loopback(self.host):
            return None  # Beyond loopback every request carries the key, which such a page does not have.
        hosts = headers.getlist("host")
        name = _host_name(hosts[0]) if len(hosts) == 1 else ""
        known = _names_this_machine(name) or name in _CONTAINER_HOSTS or name in {self.machine_name.lower(), self.host.lower()}
        if known or (name == "0.0.0.0" and "origin" not in headers):
            return None
        shown = hosts[0][:100] if hosts else "(none)"
        return http_problem(
            403, f"The Host header '{shown}' does not name this machine. Use http://127.0.0.1 or http://localhost."
        )

    def _origin_refusal(self, headers: Headers) -> Problem | None:
        origin = headers.get("origin")
        if origin is not None and not self.allows_origin(origin):
            return http_problem(403, f"Web pages of {origin[:200]} may not use this server.")
        if origin is None and headers.get("sec-fetch-site", "") == "cross-site":
            return http_problem(403, "Web pages of other sites may not use this server.")
        return None

    def _key_refusal(self, path: str, method: str, headers: Headers) -> Problem | None:
        if not self.api_key or method == "OPTIONS" or path in _OPEN_PATHS:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if hmac.compare_digest(given.encode("latin-1"), self.api_key.encode()):
            return None
        message = (
            "The API key is wrong." if given else "This server asks for an API key: send it as 'Authorization: Bearer KEY'."
        )
        return http_problem(401, message, headers=(("www-authenticate", "Bearer"),))

    @staticmethod
    def _type_refusal(method: str, headers: Headers) -> Problem | None:
        """A page can post forms and plain text anywhere without asking; JSON it can't. curl and others send any type."""
        from_browser = "origin" in headers or "sec-fetch-site" in headers or "sec-fetch-mode" in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and from_browser and kind != "application/json":
            return http_problem(415, f"Send the body as Content-Type application/json, not '{kind[:100]}'.")
        return None


class Guard:
    """Applies an `AccessPolicy`, and answers browsers that ask what a page may do (CORS)."""

    def __init__(self, app: ASGIApp, policy: AccessPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._policy.refusal(path=scope["path"], method=scope["method"], headers=headers)
        origin = headers.get("origin")
        if origin is not None and self._policy.allows_origin(origin):
            send = _with_cors(send, origin)
        if refusal is not None:
            await refusal.response()(scope, receive, send)
        elif origin is not None and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await _preflight(headers)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def is_loopback(host: str) -> bool:
    """Whether an address, or "localhost", can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _names_this_machine(name: str) -> bool:
    return is_loopback(name) or name.endswith(".localhost")


def _host_name(host: str) -> str:
    """The name in a Host header: lower case, without port, brackets and the root's dot. "" if it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return ""
    return (parts.hostname or "").removesuffix(".")


def _preflight(headers: Headers) -> Response:
    answer = {
        "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
        "access-control-allow-headers": headers.get("access-control-request-headers", "authorization, content-type"),
        "access-control-max-age": "600",
    }
    if headers.get("access-control-request-private-network") == "true":
        answer["access-control-allow-private-network"] = "true"
    return Response(status_code=204, headers=answer)


def _with_cors(send: Send, origin: str) -> Send:
    """The exact origin, never a wildcard, never credentials."""
    added: Sequence[tuple[str, str]] = (
        ("access-control-allow-origin", origin),
        ("access-control-expose-headers", _EXPOSED),
    )

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            for name, value in added:
                headers[name] = value
            headers.add_vary_header("Origin")
            message["headers"] = headers.raw
        await send(message)

    return wrapped
