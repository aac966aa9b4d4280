"""The requests of callers that no client library would send."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.bootstrap import Running

ASKING = {"model": "ember", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def error(self) -> dict[str, Any]:
        error = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Port:
    """Where the program listens."""

    number: int

    def ask(self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Headers are sent as they are; Host is left out if they name it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.number, timeout=60)
        try:
            given = dict(headers or {})
            connection.putrequest(method, path, skip_host="Host" in given, skip_accept_encoding=True)
            payload = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
            if payload or method == "POST":
                given.setdefault("Content-Length", str(len(payload)))
            for name, value in given.items():
                connection.putheader(name, value.encode())
            connection.endheaders(payload)
            answer = connection.getresponse()
            return Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read().decode())
        finally:
            connection.close()

    def chat(self, *, headers: Mapping[str, str] | None = None, **changes: Any) -> Reply:
        return self.ask("POST", "/v1/chat/completions", {**ASKING, **changes}, headers=headers)

    def say(self, data: bytes, *, timeout_s: float = 20) -> bytes:
        """What comes back until the other side closes, or says nothing more for a second."""
        with self.connected(timeout_s=timeout_s) as client:
            client.sendall(data)
            return heard(client)

    @contextmanager
    def connected(self, *, timeout_s: float = 20) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.number), timeout=timeout_s) as client:
            yield client


def heard(client: socket.socket, *, pause_s: float = 1.0) -> bytes:
    """All there is to hear: the first of it for as long as the socket waits, the rest without a longer pause."""
    got = b""
    try:
        while chunk := client.recv(65536):
            got += chunk
            client.settimeout(pause_s)
    except TimeoutError:
        if not got:
            raise
    except ConnectionResetError:
        pass
    return got


@pytest.fixture(scope="session")
def port(address: str) -> Port:
    return Port(urlsplit(address).port or 0)


@pytest.fixture
def on_loop(program: Running) -> Callable[[Callable[[], Any]], Any]:
    """Do something where the services live."""

    def call(function: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return function()

        return program.loop.submit(run()).result()

    return call
