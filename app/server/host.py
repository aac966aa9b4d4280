"""Switching the HTTP server on and off."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import os
import socket
from functools import partial

from app.domain.errors import AddressInUse, AppError, SettingsError
from app.domain.observable import Observable
from app.library.library import ModelLibrary
from app.server.app import create_app
from app.server.guard import AccessPolicy, is_loopback
from app.server.response_runs import ResponseRuns
from app.server.uvicorn_server import GuestServer, guest_config
from app.service.activity import Activity
from app.service.api_keys import ApiKeys
from app.service.chat import ChatService
from app.service.embeddings import EmbeddingService
from app.service.models import ModelManager
from app.service.refusals import Refusals
from app.service.server_control import ServerState
from app.settings import Settings, SettingsStore

__all__ = ["ApiServer"]

_log = logging.getLogger(__name__)
_BACKLOG = 512
_PORTS_TRIED = 20


class ApiServer:
    """Implements `ServerControl`: the API on the address of the settings, on the running event loop.

    Owned by the service loop. It can be started and stopped any number of times; each start reads the settings again. Who may
    use it follows the settings and keys at once.
    """

    def __init__(
        self,
        *,
        chat: ChatService,
        embeddings: EmbeddingService,
        models: ModelManager,
        library: ModelLibrary,
        activity: Activity,
        settings: SettingsStore,
        keys: ApiKeys,
        refusals: Refusals,
    ) -> None:
        self._chat = chat
        self._embeddings = embeddings
        self._models = models
        self._library = library
        self._activity = activity
        self._settings = settings
        self._keys = keys
        self._refusals = refusals
        self._changed: Observable[ServerState] = Observable()
        self._state = ServerState(running=False)
        self._server: GuestServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._runs = ResponseRuns()
        self._lock = asyncio.Lock()

    @property
    def state(self) -> ServerState:
        return self._state

    @property
    def changed(self) -> Observable[ServerState]:
        return self._changed

    async def start(self) -> None:
        """Bind and serve; nothing happens if it runs already. Raises AddressInUse, and SettingsError for an address that is
        wrong or needs an API key."""
        async with self._lock:
            if self._serving is not None:
                return
            try:
                bound = await self._bind(self._settings.current)
            except AppError as error:
                self._become(ServerState(running=False, error=str(error)))
                raise
            await self._serve(bound)

    async def stop(self) -> None:
        """Stop taking requests, let streams end for about a second, then end them, and free the port."""
        async with self._lock:
            if self._server is None or self._serving is None:
                return
            await self._runs.close()
            self._server.leave()
            await self._serving
            self._server = self._serving = None
            self._become(ServerState(running=False))

    async def _bind(self, settings: Settings) -> socket.socket:
        """A listening socket of our own: a taken port is found out here, and no other program can slip in between."""
        host = await _resolve(settings.host)
        if not is_loopback(host) and not settings.api_key and not self._keys.listed():
            raise SettingsError(
                f"{settings.host} can be reached from other computers, so the server needs an API key: make one on the server "
                "page or with 'hearth keys create NAME' (or set api_key), or use the host 127.0.0.1."
            )
        try:
            return _listen(host, settings.port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise AddressInUse(host=host, port=settings.port, free_port=_free_port(host, settings.port)) from error
            reason = error.strerror or str(error)
            raise SettingsError(f"The server can't listen on {settings.host}, port {settings.port}: {reason}.") from error

    async def _serve(self, bound: socket.socket) -> None:
        host, port = bound.getsockname()[:2]
        self._runs = ResponseRuns()
        app = create_app(
            chat=self._chat,
            embeddings=self._embeddings,
            models=self._models,
            library=self._library,
            activity=self._activity,
            runs=self._runs,
            policy=partial(self._policy, host, socket.gethostname()),
            keys=self._keys,
            refusals=self._refusals,
        )
        server = GuestServer(guest_config(app))
        serving = asyncio.create_task(server.serve(sockets=[bound]), name="api-server")
        await server.ready.wait()
        self._server, self._serving = server, serving
        _log.info("Listening on %s:%d", host, port)
        self._become(ServerState(running=True, address=_address(host, port)))

    def _policy(self, host: str, machine_name: str) -> AccessPolicy:
        settings = self._settings.current
        return AccessPolicy(
            host=host,
            asks_for_key=settings.require_api_key,
            api_key=settings.api_key,
            allowed_origins=settings.allowed_origins,
            allowed_hosts=settings.allowed_hosts,
            machine_name=machine_name,
        )

    def _become(self, state: ServerState) -> None:
        self._state = state
        self._changed.notify(state)


async def _resolve(host: str) -> str:
    """The address that a host's name stands for; IPv4 where it has one."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if host == "localhost":
        return "127.0.0.1"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"'{host}' is no address of this computer. Set host (--host) to 127.0.0.1.") from error
    best = min(found, key=lambda info: info[0] is not socket.AF_INET)
    return str(best[4][0])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only where it is: without it each answer waits 40 ms for an ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # On Windows SO_REUSEADDR would let two programs share the port; elsewhere it only skips the wait after a restart.
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        option = socket.SO_REUSEADDR if os.name != "nt" or exclusive is None else exclusive
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound


def _free_port(host: str, taken: int) -> int:
    """One of the next ports, or any."""
    for port in (*range(taken + 1, min(taken + _PORTS_TRIED, 65536)), 0):
        try:
            with _listen(host, port) as probe:
                return int(probe.getsockname()[1])
        except OSError:
            continue
    return 0


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
