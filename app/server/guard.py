"""Who may use the port: checks of headers, Host, Origin and API key that run before a request's body is read."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.domain.origins import host_name, web_origin
from app.server.endpoints import ENDPOINTS
from app.server.error_shape import error_response
from app.server.errors import Problem, http_problem
from app.server.recording import track_of
from app.service.api_keys import ApiKeys
from app.service.refusals import CallerKind, Refusals

__all__ = ["AccessPolicy", "Guard", "is_loopback"]

# Containers reach the machine they run on by these names.
_CONTAINER_HOSTS = frozenset({"host.docker.internal", "host.containers.internal"})
# Pages that an installed program brings along; no site on the web can have these origins.
_APP_SCHEMES = frozenset({"app", "file", "tauri", "vscode-webview", "vscode-file"})
_OPEN_PATHS = frozenset(path for one in ENDPOINTS if one.is_open for path in (one.path, *one.aliases))
_EXPOSED = b"x-request-id, request-id, x-hearth-ignored, x-hearth-model, x-should-retry, retry-after"
_METHODS = "GET, POST, DELETE, OPTIONS"
# Files are sent to these as forms, which a page can do without asking: those that send their Origin have been looked at.
_FORM_PATHS = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
# Asked for by name, as `*` would leave out the first.
_USUAL_HEADERS = "authorization, content-type, x-api-key"
_SETTINGS_KEY = "api_key"
_MAX_HEADER_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What the server lets in. `host` is the address it is bound to.

    `asks_for_key` holds beyond loopback in any case. `api_key` is one that is right, in plain text; "" is none.
    `allowed_origins` are web pages that a person has allowed by name, such as "https://chat.example.org", and `allowed_hosts`
    further names of this computer.
    """

    host: str = "127.0.0.1"
    asks_for_key: bool = False
    api_key: str = ""
    allowed_origins: Collection[str] = ()
    allowed_hosts: Collection[str] = ()
    machine_name: str = field(default_factory=socket.gethostname)

    def refusal(self, *, path: str, method: str, headers: Headers, key: str | None = None) -> Problem | None:
        """Why the request is turned away, or None. `key` is the name of the key it carries, None for none that is right."""
        return (
            _shape_refusal(headers)
            or self._host_refusal(headers)
            or self._origin_refusal(headers)
            or self._key_refusal(path, method, headers, key)
            or _type_refusal(path, method, headers)
        )

    def knows_host(self, headers: Headers) -> bool:
        """Whether Host names this machine.

        A web page whose name was made to point at this machine still sends its own name (DNS rebinding). Beyond loopback every
        request carries a key, which such a page does not have.
        """
        if not is_loopback(self.host):
            return True
        name = _only_host(headers)
        if _names_this_machine(name) or name in _CONTAINER_HOSTS or name in self.allowed_hosts:
            return True
        return name in {self.machine_name.lower(), self.host.lower()} or (name == "0.0.0.0" and "origin" not in headers)

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
        if self.knows_host(headers):
            return None
        shown = headers.get("host", "(none)")[:100]
        return http_problem(
            403,
            f"The Host header '{shown}' does not name this machine. Use http://127.0.0.1 or http://localhost, or have the name "
            "allowed in Hearth: on its server page, or with --allow-host.",
        )

    def _origin_refusal(self, headers: Headers) -> Problem | None:
        origins = headers.getlist("origin")
        if len(origins) > 1 or any(not self.allows_origin(origin) for origin in origins):
            return http_problem(
                403,
                f"Web pages of {origins[0][:200]} may not use this server. They can be allowed in Hearth: on its server page, "
                "or with --allow-origin.",
            )
        if not origins and headers.get("sec-fetch-site", "") == "cross-site":
            return http_problem(403, "Web pages of other sites may not use this server.")
        return None

    def _key_refusal(self, path: str, method: str, headers: Headers, key: str | None) -> Problem | None:
        asks = self.asks_for_key or bool(self.api_key) or not is_loopback(self.host)
        if not asks or key is not None or method == "OPTIONS" or path in _OPEN_PATHS:
            return None
        wrong = any(_given_keys(headers))
        message = (
            "The API key is wrong." if wrong else "This server asks for an API key: send it as 'Authorization: Bearer KEY'."
        )
        return http_problem(401, message, headers=(("www-authenticate", "Bearer"),))


class Guard:
    """Applies the `AccessPolicy` of the moment, and answers browsers that ask what a page may do (CORS)."""

    def __init__(self, app: ASGIApp, policy: Callable[[], AccessPolicy], keys: ApiKeys, refusals: Refusals) -> None:
        self._app = app
        self._policy = policy
        self._keys = keys
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, policy = Headers(scope=scope), self._policy()
        key = self._key_name(policy, headers)
        track_of(HTTPConnection(scope)).key = key or ""
        refusal = policy.refusal(path=scope["path"], method=scope["method"], headers=headers, key=key)
        origin = headers.get("origin")
        send = _with_cors(send, origin if origin is not None and policy.allows_origin(origin) else None)
        if refusal is not None:
            self._note(policy, headers, refusal)
            await error_response(scope, refusal)(scope, receive, send)
        elif origin is not None and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await _preflight(headers)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _key_name(self, policy: AccessPolicy, headers: Headers) -> str | None:
        """The name of the first key given that is right."""
        for given in _given_keys(headers):
            if policy.api_key and hmac.compare_digest(given, policy.api_key.encode()):
                return _SETTINGS_KEY
            if (name := self._keys.name_of(given)) is not None:
                return name
        return None

    def _note(self, policy: AccessPolicy, headers: Headers, refusal: Problem) -> None:
        """Keep whom a person could let in."""
        if refusal.status != 403:
            return
        try:
            if not policy.knows_host(headers):
                if not _is_browser(headers):
                    self._refusals.note(CallerKind.HOST, host_name(_only_host(headers)))
            else:
                self._refusals.note(CallerKind.PAGE, web_origin(headers.get("origin", "")))
        except ValueError:
            return  # No name that could be allowed, such as the origin "null".


def _given_keys(headers: Headers) -> Iterator[bytes]:
    """Keys as OpenAI's clients send them, and as Anthropic's do. Some programs send both, one of them made up."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        yield token.strip().encode("latin-1")
    if key := headers.get("x-api-key", "").strip():
        yield key.encode("latin-1")


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


def _is_browser(headers: Headers) -> bool:
    """What a page of a rebound name sends looks like a person's own visit: neither is worth the risk of an offer."""
    return "origin" in headers or "sec-fetch-site" in headers or headers.get("user-agent", "").startswith("Mozilla/")


def _only_host(headers: Headers) -> str:
    """The name in the Host header; "" if it is malformed, missing, or one of several."""
    hosts = headers.getlist("host")
    try:
        return host_name(hosts[0]) if len(hosts) == 1 else ""
    except ValueError:
        return ""


def _shape_refusal(headers: Headers) -> Problem | None:
    """Headers that are too long in all, and a body whose end two servers could see in different places (smuggling)."""
    if sum(len(name) + len(value) for name, value in headers.raw) > _MAX_HEADER_BYTES:
        return http_problem(431, f"The request's headers are longer than {_MAX_HEADER_BYTES // 1024} KiB in all.")
    if "transfer-encoding" in headers and "content-length" in headers:
        return http_problem(
            400, "A request has Content-Length or Transfer-Encoding, not both.", headers=(("connection", "close"),)
        )
    return None


def _type_refusal(path: str, method: str, headers: Headers) -> Problem | None:
    """A page can post forms and plain text anywhere without asking; JSON it can't. curl and others send any type."""
    # Node's fetch sends the mode cors alone, and is no browser.
    mode = headers.get("sec-fetch-mode", "cors")
    from_browser = "origin" in headers or "sec-fetch-site" in headers or mode != "cors"
    empty = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data" and path in _FORM_PATHS and "origin" in headers:
        return None
    if method == "POST" and from_browser and not empty and kind != "application/json":
        return http_problem(415, f"Send the body as Content-Type application/json, not '{kind[:100]}'.")
    return None


def _preflight(headers: Headers) -> Response:
    """An allowed page may send what it asks for: SDKs bring many headers of their own (x-stainless-*, anthropic-version)."""
    answer = {
        "access-control-allow-methods": _METHODS,
        "access-control-allow-headers": headers.get("access-control-request-headers", _USUAL_HEADERS),
        "access-control-max-age": "600",
        "vary": "Access-Control-Request-Headers, Access-Control-Request-Private-Network",
    }
    if headers.get("access-control-request-private-network") == "true":
        answer["access-control-allow-private-network"] = "true"
    return Response(status_code=204, headers=answer)


def _with_cors(send: Send, origin: str | None) -> Send:
    """The exact origin that is allowed, never a wildcard, never credentials."""
    added = [(b"vary", b"Origin")]
    if origin is not None:
        added += [(b"access-control-allow-origin", origin.encode("latin-1")), (b"access-control-expose-headers", _EXPOSED)]

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return wrapped
