"""Pictures from the web: with made-up names and answers, and with a real server on this machine, which must never be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx2
import pytest

from app.domain.errors import InvalidRequest
from app.domain.messages import ImagePart, ImageUrl, Message, Role, TextPart
from app.service.pictures import PictureFetcher

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"
PNG = b"\x89PNG\r\n\x1a\n and the rest of it"
HOSTS = {
    "pictures.example": (PUBLIC,),
    "two.example": ("2606:2800:220:1::1", PUBLIC),
    "inside.example": ("192.168.1.1",),
    "both.example": (PUBLIC, "127.0.0.1"),
    "metadata.example": ("169.254.169.254",),
    "mapped.example": ("::ffff:127.0.0.1",),
}
Handler = Callable[[httpx2.Request], httpx2.Response]


class Web:
    """Answers for the internet, and keeps what was asked."""

    def __init__(self, answer: Handler | None = None) -> None:
        self.answer = answer or (lambda _: httpx2.Response(200, stream=Stream(PNG)))
        self.asked: list[httpx2.Request] = []
        self.resolved: list[str] = []

    def fetcher(self, *, allowed: bool = True) -> PictureFetcher:
        return PictureFetcher(lambda: allowed, resolve=self._resolve, transport=lambda: httpx2.MockTransport(self._handle))

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        self.resolved.append(host)
        if host not in HOSTS:
            raise OSError("no such host")
        return HOSTS[host]

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        return self.answer(request)


class Stream(httpx2.AsyncByteStream):
    """A body as it comes off the wire; `read` counts what was taken of it."""

    def __init__(self, *chunks: bytes, forever: bool = False) -> None:
        self._chunks = chunks
        self._forever = forever
        self.read = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            for chunk in self._chunks:
                self.read += len(chunk)
                yield chunk
            if not self._forever:
                return

    async def aclose(self) -> None:
        self.closed = True


def asking(*urls: str) -> tuple[Message, ...]:
    parts = tuple(ImageUrl(url, f"place {index}", max_side=512) for index, url in enumerate(urls))
    return (Message(Role.USER, (TextPart("What is it?"), *parts)),)


async def refused(web: Web, *urls: str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        await web.fetcher().fetched(asking(*urls))
    assert caught.value.param == "place 0"
    assert "data: URL" in str(caught.value)
    return str(caught.value)


async def test_the_picture_takes_the_place_of_its_address() -> None:
    web = Web()
    (message,) = await web.fetcher().fetched(asking("https://pictures.example/a.png?b=c"))
    assert message.parts == (TextPart("What is it?"), ImagePart(PNG, max_side=512))


async def test_the_address_that_was_looked_at_is_the_one_that_is_asked() -> None:
    web = Web()
    await web.fetcher().fetched(asking("https://pictures.example:8443/a.png"))
    (request,) = web.asked
    assert str(request.url) == f"https://{PUBLIC}:8443/a.png"
    assert request.headers["host"] == "pictures.example:8443"
    assert request.extensions["sni_hostname"] == "pictures.example"
    assert web.resolved == ["pictures.example"]


async def test_nothing_is_fetched_or_looked_up_unless_it_is_allowed() -> None:
    web = Web()
    with pytest.raises(InvalidRequest, match="fetch_images"):
        await web.fetcher(allowed=False).fetched(asking("https://pictures.example/a.png"))
    assert (web.asked, web.resolved) == ([], [])


async def test_messages_without_addresses_stay_as_they_are() -> None:
    messages = (Message.of(Role.USER, "Hello"),)
    assert await Web().fetcher(allowed=False).fetched(messages) is messages


@pytest.mark.parametrize("host", ["inside", "both", "metadata", "mapped", "unknown"])
async def test_an_address_that_is_not_public_is_never_asked(host: str) -> None:
    web = Web()
    assert "no public address" in await refused(web, f"https://{host}.example/a.png")
    assert web.asked == []


@pytest.mark.parametrize(
    "url", ["http://pictures.example/a", "https://me:secret@pictures.example/a", "https:///a", "ftp://pictures.example/a"]
)
async def test_only_plain_https_addresses_are_asked(url: str) -> None:
    web = Web()
    await refused(web, url)
    assert web.asked == []


async def test_redirects_are_followed_three_times() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        left = int(request.url.path.removeprefix("/"))
        return httpx2.Response(302, headers={"location": f"/{left - 1}"}) if left else httpx2.Response(200, stream=Stream(PNG))

    web = Web(answer)
    await web.fetcher().fetched(asking("https://pictures.example/3"))
    assert [request.headers["host"] for request in web.asked] == ["pictures.example"] * 4
    assert "more than 3 times" in await refused(Web(answer), "https://pictures.example/4")


@pytest.mark.parametrize(
    "target",
    [
        "https://inside.example/",
        "https://metadata.example/latest",
        "http://pictures.example/",
        "file:///etc/passwd",
        "//both.example/x",
    ],
)
async def test_each_redirect_is_looked_at_anew(target: str) -> None:
    web = Web(lambda _: httpx2.Response(307, headers={"location": target}))
    await refused(web, "https://pictures.example/a.png")
    assert len(web.asked) == 1


async def test_the_next_address_of_a_name_is_tried_where_one_can_not_be_reached() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.host != PUBLIC:
            raise httpx2.ConnectError("unreachable")
        return httpx2.Response(200, stream=Stream(PNG))

    web = Web(answer)
    await web.fetcher().fetched(asking("https://two.example/a.png"))
    assert [request.url.host for request in web.asked] == ["2606:2800:220:1::1", PUBLIC]


async def test_a_picture_that_is_too_large_is_given_up_on_the_way() -> None:
    body = Stream(PNG + bytes(2**20), forever=True)
    assert "more than 20 MiB" in await refused(Web(lambda _: httpx2.Response(200, stream=body)), "https://pictures.example/a")
    assert body.read < 22 * 2**20
    assert body.closed


async def test_what_is_no_picture_is_given_up_at_its_beginning() -> None:
    body = Stream(b"<!DOCTYPE html><html>" + bytes(1000), forever=True)
    answer = httpx2.Response(200, headers={"content-type": "image/png"}, stream=body)
    assert "is no PNG" in await refused(Web(lambda _: answer), "https://pictures.example/a.png")
    assert body.read < 2000


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx2.Response(404), "status 404"),
        (httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=Stream(PNG)), "packed"),
        (httpx2.Response(200, stream=Stream(b"")), "is no PNG"),
    ],
)
async def test_other_answers_are_told(answer: httpx2.Response, told: str) -> None:
    assert told in await refused(Web(lambda _: answer), "https://pictures.example/a.png")


async def test_one_failure_ends_the_others() -> None:
    held = Stream(PNG, forever=True)

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404) if request.url.path == "/0" else httpx2.Response(200, stream=held)

    await refused(Web(answer), "https://pictures.example/0", *(f"https://pictures.example/{n}" for n in range(1, 12)))


async def test_the_same_picture_is_fetched_once() -> None:
    web = Web()
    (message,) = await web.fetcher().fetched(asking(*["https://pictures.example/a.png"] * 3))
    assert len(message.images) == 3
    assert len(web.asked) == 1


async def test_leaving_ends_the_transfer() -> None:
    waiting = asyncio.Event()

    class Endless(Stream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            waiting.set()
            await asyncio.Event().wait()
            yield b""

    body = Endless()
    task = asyncio.create_task(
        Web(lambda _: httpx2.Response(200, stream=body)).fetcher().fetched(asking("https://pictures.example/a"))
    )
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert body.closed


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0.0.0.0"])
async def test_a_server_on_this_machine_is_not_even_connected_to(host: str) -> None:
    connections: list[Any] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer.get_extra_info("peername"))
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(InvalidRequest, match="no public address"):
            await PictureFetcher(lambda: True).fetched(asking(f"https://{host}:{port}/a.png"))
    assert connections == []
