"""Servers that are no good hubs, and a way to the hub that is no good web proxy: raw answers on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import pytest

from app.domain.errors import HubUnreachable, InvalidRequest, NotAHub, RepositoryNotFound
from app.domain.hub import HubQuery
from app.library.hub import Hub
from app.library.hub_access import HubAccess
from app.settings import Settings
from tests.fake_hub import FakeHub

pytestmark = pytest.mark.anyio

Answer: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PAGE = json.dumps([{"id": "org/repo", "likes": 3}]).encode()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """A server that leaves each connection to `answer`."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def page(body: bytes, *headers: str) -> bytes:
    lines = ("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


async def test_a_connection_that_ends_without_an_answer_is_tried_once_more() -> None:
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        if asked == 2:
            writer.write(page(PAGE))

    async with serving(answer) as endpoint:
        found = await Hub(endpoint=endpoint).search(HubQuery())

    assert [model.id for model in found.models] == ["org/repo"]
    assert asked == 2


async def test_packed_answers_are_unpacked() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(page(gzip.compress(PAGE), "Content-Encoding: gzip"))

    async with serving(answer) as endpoint:
        assert (await Hub(endpoint=endpoint).search(HubQuery())).models


async def test_an_answer_without_end_is_given_up() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        # A small file that is large once it is unpacked.
        writer.write(page(gzip.compress(bytes(64 << 20)), "Content-Encoding: gzip"))

    async with serving(answer) as endpoint:
        with pytest.raises(HubUnreachable, match="more than a model hub"):
            await Hub(endpoint=endpoint).search(HubQuery())


async def test_what_speaks_no_http_is_no_hub() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")

    async with serving(answer) as endpoint:
        with pytest.raises(HubUnreachable, match=r"lost|reached"):
            await Hub(endpoint=endpoint).search(HubQuery())


@pytest.mark.parametrize(
    ("status", "header", "error", "said"),
    [
        ("403 Forbidden", "X-Error-Message: Access to this resource is disabled.", RepositoryNotFound, "disabled"),
        ("404 Not Found", "X-Error-Code: RevisionNotFound", RepositoryNotFound, "no such branch"),
        ("400 Bad Request", "X-Error-Message: no", InvalidRequest, "does not understand"),
    ],
)
async def test_refusals_are_told_apart(status: str, header: str, error: type[Exception], said: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\n{header}\r\nContent-Length: 0\r\n\r\n".encode())

    async with serving(answer) as endpoint:
        with pytest.raises(error, match=said):
            await Hub(endpoint=endpoint).repository("https://huggingface.co/org/repo/tree/v9/x")


async def test_redirects_in_a_circle_end() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /api/models\r\nContent-Length: 0\r\n\r\n")

    async with serving(answer) as endpoint:
        with pytest.raises(NotAHub):
            await Hub(endpoint=endpoint).search(HubQuery())


async def test_a_socks_proxy_is_a_way_too() -> None:
    """RFC 1928, without a password: a greeting, then where to connect to."""
    asked: list[tuple[str, int]] = []
    with FakeHub() as fake:
        fake.add("org/repo", {"m-Q4_K_M.gguf": b"q" * 4000})

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly((await reader.readexactly(2))[1])
            writer.write(b"\x05\x00")
            kind = (await reader.readexactly(4))[3]
            assert kind == 3
            name = await reader.readexactly((await reader.readexactly(1))[0])
            asked.append((name.decode(), int.from_bytes(await reader.readexactly(2), "big")))
            writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            hub_reader, hub_writer = await asyncio.open_connection("127.0.0.1", fake.port)
            back = asyncio.create_task(_copy(hub_reader, writer))
            await _copy(reader, hub_writer)
            hub_writer.close()
            await back

        async with serving(answer) as proxy:
            settings = Settings(hub_endpoint="http://hub.invalid:81", hub_proxy=f"socks5://{urlsplit(proxy).netloc}")
            hub = Hub(HubAccess(lambda: settings))
            assert (await hub.repository("org/repo")).models
            await hub.close()

    assert asked == [("hub.invalid", 81)]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
