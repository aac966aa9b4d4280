from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.domain.generation import TextDelta
from app.server.answers import IndexedEvent, Tally
from app.server.recording import RequestTrack
from app.server.streaming import EventStream
from app.server.uvicorn_server import GuestServer, guest_config
from tests.server.serving import RawClient, serving
from tests.server.test_streaming import PlainFrames

pytestmark = pytest.mark.anyio


async def test_what_is_no_http_is_answered_in_the_usual_shape(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        client = await RawClient.connect(api.port)
        await client.send("\x16\x03\x01 this is TLS\r\n\r\n")
        answer = await client.rest()
        await client.close()
    assert answer.startswith("HTTP/1.1 400 Bad Request")
    assert '"error": {"message"' in answer


async def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        client = await RawClient.connect(api.port)
        await client.send("GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: " + "x" * 100_000)
        answer = await client.rest()
        await client.close()
    assert answer.startswith("HTTP/1.1 400")


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: -5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding : chunked",
    ],
)
async def test_a_body_that_could_end_in_two_places_is_refused(tmp_path: Path, head: str) -> None:
    smuggled = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(tmp_path) as api:
        client = await RawClient.connect(api.port)
        await client.send(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n0\r\n\r\n{smuggled}")
        answer = await client.rest()
        await client.close()
        assert [record.endpoint for record in api.activity.records] in ([], ["/v1/completions"])
    assert answer.startswith(("HTTP/1.1 400", "HTTP/1.1 501"))
    assert answer.count("HTTP/1.1") == 1


async def test_requests_in_a_row_are_answered_in_a_row(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        client = await RawClient.connect(api.port)
        await client.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        for _ in range(3):
            assert (await client.until('{"status":"ok"}')).startswith("HTTP/1.1 200")
        await client.close()


async def test_a_client_that_does_not_finish_is_not_waited_for(tmp_path: Path) -> None:
    """A timer runs, whichever part of a request is missing."""
    begun = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"
    async with serving(tmp_path) as api:
        loop = asyncio.get_running_loop()
        for said, answered in (
            ("", ""),
            ("GET", ""),
            ("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET", "ok"),
            (begun, "413"),
        ):
            client = await RawClient.connect(api.port)
            await client.send(said)
            if answered:
                await client.until(answered)
            assert (await api.http.get("/health")).status_code == 200
            due = [handle.when() - loop.time() for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
            assert [seconds for seconds in due if 5 < seconds <= 10], said
            await client.close()


async def test_connections_beyond_the_limit_are_told_to_come_later() -> None:
    async with listening(max_connections=2) as (_, port):
        clients = [await RawClient.connect(port) for _ in range(3)]
        answers = []
        for client in clients:
            await client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answers.append(await client.until("\r\n\r\n"))
            await client.close()
    assert [answer.split(" ")[1] for answer in answers] == ["200", "200", "503"]
    assert "retry-after: 1" in answers[2]
    assert "connection: close" in answers[2]


async def test_connections_far_beyond_the_limit_are_not_kept() -> None:
    """Whether they ask for something or not."""
    async with listening(max_connections=2) as (server, port):
        clients = [await RawClient.connect(port) for _ in range(2 + 64 + 3)]
        for client in clients[-3:]:
            with suppress(ConnectionResetError):
                assert await client.rest() == ""
        assert len(server.server_state.connections) == 2 + 64
        await clients[0].send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await clients[0].until("\r\n\r\n")).startswith("HTTP/1.1 200")
        for client in clients:
            with suppress(ConnectionResetError):
                await client.close()


@asynccontextmanager
async def listening(*, max_connections: int) -> AsyncGenerator[tuple[GuestServer, int], None]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("ok")(scope, receive, send)

    config = guest_config(app)
    config.max_connections = max_connections
    server, sock = GuestServer(config), socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    await server.ready.wait()
    yield server, sock.getsockname()[1]
    server.leave()
    await serving


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end() -> None:
    paused = asyncio.Event()

    async def endless() -> AsyncGenerator[IndexedEvent, None]:
        while True:
            if any(connection.flow.write_paused for connection in server.server_state.connections):
                paused.set()
            yield 0, TextDelta("x" * 2**16)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = EventStream(endless(), PlainFrames(), Tally(), RequestTrack("/x", None), headers={})
        await stream.decide()
        await stream(scope, receive, send)

    server, sock = GuestServer(guest_config(app)), socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    await server.ready.wait()
    client = await RawClient.connect(sock.getsockname()[1])
    await client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await paused.wait()
    server.leave()
    async with asyncio.timeout(20):
        await serving
    assert not server.server_state.tasks
    await client.close()


async def test_signals_stay_with_the_program(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    async with serving(tmp_path):
        assert signal.getsignal(signal.SIGINT) is before


async def test_an_idle_server_sleeps(tmp_path: Path) -> None:
    """uvicorn's own main loop wakes up ten times a second."""
    async with serving(tmp_path) as api:
        assert (await api.http.get("/health")).status_code == 200
        loop = asyncio.get_running_loop()
        due = [handle.when() - loop.time() for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
    assert all(seconds > 1 for seconds in due)
