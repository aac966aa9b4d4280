"""How the hub is reached: at which address, through which proxy, with whose token, or not at all."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from app.domain.endpoints import is_official_hub
from app.domain.errors import HubOffline, SettingsError
from app.domain.hub import HubToken, TokenSource
from app.domain.observable import Observable
from app.library.hub_tokens import HubTokens
from app.library.system_keyring import SystemKeyring
from app.paths import Paths
from app.settings import Settings, SettingsStore

if TYPE_CHECKING:
    import httpx2

__all__ = ["HubAccess", "Stoppable"]

_OFFLINE_VARIABLE: Final = "HF_HUB_OFFLINE"
_TOKEN_VARIABLES: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
# Another program of the same profile may enter a token meanwhile.
_TOKEN_KEPT_S: Final = 60.0


class Stoppable(Protocol):
    """An exchange under way."""

    def stop(self) -> None: ...


class HubAccess:
    """Everything is as the settings say at the moment, for requests under way too. Owned by the service loop.

    A token that a person entered goes to the hub it was entered for and to no other; those of HF_TOKEN and of Hugging Face's
    own tools go to the official hub alone.
    """

    def __init__(self, settings: Callable[[], Settings], tokens: HubTokens | None = None, *, token: str | None = None) -> None:
        """`token` goes to whatever hub is set, in place of all others. Without `tokens`, none can be entered."""
        self.token_changed: Observable[None] = Observable()
        self._settings = settings
        self._tokens = tokens
        self._given = HubToken(token, TokenSource.GIVEN) if token else None
        self._known: dict[str, tuple[float, HubToken | None]] = {}
        self._asking = asyncio.Lock()
        self._under_way: set[Stoppable] = set()

    @classmethod
    def of(cls, paths: Paths, settings: SettingsStore) -> HubAccess:
        """That of a profile. Its entries in the keyring are called by the profile: each has tokens of its own."""
        tokens = HubTokens(paths.hub_tokens, SystemKeyring(f"Hearth {paths.config}"))
        return cls(lambda: settings.current, tokens)

    @property
    def endpoint(self) -> str:
        return self._settings().hub_endpoint

    @property
    def host(self) -> str:
        """The hub's name, for sentences."""
        return urlsplit(self.endpoint).netloc

    @property
    def in_the_clear(self) -> bool:
        """Whether what is sent, a token too, can be read on its way through a network."""
        parts = urlsplit(self.endpoint)
        return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost")

    @property
    def proxy(self) -> str:
        """ "" takes the system's."""
        return self._settings().hub_proxy

    @property
    def offline(self) -> bool:
        return self._settings().hub_offline or _variable_says_offline()

    def check_online(self) -> None:
        """Raises HubOffline if no request may be sent."""
        if self._settings().hub_offline:
            raise HubOffline
        if _variable_says_offline():
            raise HubOffline(variable=_OFFLINE_VARIABLE)

    def client(self, *, timeout: httpx2.Timeout | float, keeps_connections: bool = True) -> httpx2.AsyncClient:
        """A client for requests to the hub and to where it redirects, which its maker closes. It goes through the proxy that is
        set when a request is sent, and raises HubOffline, also in the midst of an answer, once the hub is switched off.

        Importing what it needs takes 0.2 s: the first one is better made on another thread.
        """
        import httpx2

        from app.library.hub_transport import HubTransport

        transport = HubTransport(self, keeps_connections=keeps_connections)
        return httpx2.AsyncClient(transport=transport, timeout=timeout, follow_redirects=True)

    async def token(self, endpoint: str = "") -> HubToken | None:
        """What is sent to an endpoint, or to the present one."""
        if self._given is not None:
            return self._given
        endpoint = endpoint or self.endpoint
        async with self._asking:
            known = self._known.get(endpoint)
            if known is None or time.monotonic() - known[0] > _TOKEN_KEPT_S:
                known = (time.monotonic(), await asyncio.to_thread(self._read_token, endpoint))
                self._known[endpoint] = known
        return known[1]

    async def headers(self, url: str) -> dict[str, str]:
        """What to send to an address; a token only if that belongs to the endpoint of this moment, which it was entered for."""
        endpoint = self.endpoint
        token = await self.token(endpoint)
        return {"authorization": f"Bearer {token.value}"} if token is not None and url.startswith(f"{endpoint}/") else {}

    async def set_token(self, value: str) -> TokenSource:
        """Keep a token for the present endpoint and use it from now on; tells where it is kept. Raises SettingsError."""
        if self._tokens is None:
            raise SettingsError("No access token can be kept here. Set HF_TOKEN instead.")
        async with self._asking:
            source = await asyncio.to_thread(self._tokens.save, self.endpoint, value)
            self._known.clear()
        self.token_changed.notify(None)
        return source

    async def forget_token(self) -> None:
        """Delete the token that was entered for the present endpoint. Raises SettingsError if that can't be done."""
        if self._tokens is not None:
            async with self._asking:
                await asyncio.to_thread(self._tokens.forget, self.endpoint)
                self._known.clear()
            self.token_changed.notify(None)

    def settings_changed(self, settings: Settings) -> None:
        """To be told of changed settings: once the hub is switched off, what is under way ends."""
        if settings.hub_offline:
            for exchange in tuple(self._under_way):
                exchange.stop()

    def began(self, exchange: Stoppable) -> None:
        self._under_way.add(exchange)

    def ended(self, exchange: Stoppable) -> None:
        self._under_way.discard(exchange)

    def _read_token(self, endpoint: str) -> HubToken | None:
        entered = self._tokens.read(endpoint) if self._tokens is not None else None
        if entered is not None or not is_official_hub(endpoint):
            return entered
        for variable in _TOKEN_VARIABLES:
            if value := os.environ.get(variable, "").strip():
                return HubToken(value, TokenSource.ENVIRONMENT)
        return _saved_by_hugging_face()


def _saved_by_hugging_face() -> HubToken | None:
    """Read off the file: the client's own way would renew some tokens over the network."""
    # 0.3 s to import; it knows where the file is.
    from huggingface_hub import constants

    try:
        with open(constants.HF_TOKEN_PATH, encoding="utf-8") as file:
            value = file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return HubToken(value, TokenSource.HUGGING_FACE) if value else None


def _variable_says_offline() -> bool:
    return os.environ.get(_OFFLINE_VARIABLE, "").strip().upper() in ("1", "ON", "YES", "TRUE")
