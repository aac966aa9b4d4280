"""Pictures that requests name by their address on the web."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

import httpx2

from app.domain.addresses import is_public
from app.domain.errors import InvalidRequest
from app.domain.messages import ContentPart, ImagePart, ImageUrl, Message
from app.service.host_names import HostNames

__all__ = ["PictureFetcher", "Resolver"]

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

_MAX_BYTES = 20 * 1024 * 1024
# All pictures of a request, as if they had come in its body.
_MAX_BYTES_IN_ALL = 64 * 1024 * 1024
_MAX_REDIRECTS = 3
_MAX_ADDRESSES = 4
_AT_ONCE = 8
_TIMEOUT_S = 10.0
_HEADERS = {"accept": "image/*", "accept-encoding": "identity", "user-agent": "Hearth"}
# Enough to tell a picture from anything else.
_HEAD_BYTES = 16
_BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")
_AVIF_BRANDS = (b"avif", b"avis", b"mif1", b"msf1")


class PictureFetcher:
    """Puts pictures in the place of their addresses, where a person has allowed it. Owned by the service loop.

    Only https, and only from the public internet: a name is resolved once, and the connection goes to the very address that was
    looked at, so that it can't turn into one of this machine's networks in between.
    """

    def __init__(
        self,
        allowed: Callable[[], bool],
        *,
        resolve: Resolver | None = None,
        transport: Callable[[], httpx2.AsyncBaseTransport] | None = None,
    ) -> None:
        """`resolve` gives the addresses of a host; `transport` is made anew for each request."""
        self._allowed = allowed
        self._resolve = resolve or HostNames().addresses
        self._transport = transport or _transport
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def fetched(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The messages with all pictures in them. Raises InvalidRequest for one that may not or can't be had."""
        wanted = {part.url: part for message in messages for part in message.parts if isinstance(part, ImageUrl)}
        if not wanted:
            return messages
        if not self._allowed():
            raise InvalidRequest(
                "https: URLs are not fetched: this is switched off in Hearth (fetch_images, --fetch-images). Send the picture "
                "itself as a data: URL, such as 'data:image/png;base64,…'.",
                param=next(iter(wanted.values())).param,
            )
        pictures = await self._all(tuple(wanted.values()))
        return tuple(replace(message, parts=tuple(_in_place(part, pictures) for part in message.parts)) for message in messages)

    async def _all(self, wanted: Sequence[ImageUrl]) -> dict[str, bytes]:
        room = _Room(_MAX_BYTES_IN_ALL)
        async with await asyncio.to_thread(self._transport) as transport:
            tasks = [asyncio.create_task(self._one(transport, picture, room)) for picture in wanted]
            try:
                found = await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return {picture.url: data for picture, data in zip(wanted, found, strict=True)}

    async def _one(self, transport: httpx2.AsyncBaseTransport, picture: ImageUrl, room: _Room) -> bytes:
        async with self._turns:
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    return await self._follow(transport, picture, room)
            except TimeoutError as error:
                raise _refusal(picture, f"did not arrive within {_TIMEOUT_S:.0f} seconds") from error
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise _refusal(picture, "can't be fetched") from error

    async def _follow(self, transport: httpx2.AsyncBaseTransport, picture: ImageUrl, room: _Room) -> bytes:
        url = httpx2.URL(picture.url)
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._opened(transport, url, picture) as response:
                if not response.has_redirect_location:
                    return await _read(response, picture, room)
                url = url.join(response.headers["location"])
        raise _refusal(picture, f"is redirected more than {_MAX_REDIRECTS} times")

    @asynccontextmanager
    async def _opened(
        self, transport: httpx2.AsyncBaseTransport, url: httpx2.URL, picture: ImageUrl
    ) -> AsyncGenerator[httpx2.Response, None]:
        """The beginning of an answer, from an address that was looked at; the certificate has to be that of the name."""
        host = url.raw_host.decode("ascii")
        if url.scheme != "https" or not host or url.userinfo:
            raise _refusal(picture, "leads to something else than an https address without a password")
        headers = {**_HEADERS, "host": url.netloc.decode("ascii")}
        extensions = {"sni_hostname": host, "timeout": httpx2.Timeout(_TIMEOUT_S).as_dict()}
        unreachable: httpx2.HTTPError | None = None
        for address in await self._public_addresses(host, url.port or 443, picture):
            request = httpx2.Request("GET", url.copy_with(host=address), headers=headers, extensions=extensions)
            try:
                response = await transport.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                unreachable = error
                continue
            try:
                yield response
            finally:
                await response.aclose()
            return
        raise unreachable or _refusal(picture, "can't be fetched")

    async def _public_addresses(self, host: str, port: int, picture: ImageUrl) -> Sequence[str]:
        """Not even a name that also has a public address may lead to another one. Which of the two it was is not told."""
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):
            addresses = ()
        if not addresses or not all(map(is_public, addresses)):
            raise _refusal(picture, "has no public address on the internet")
        return addresses[:_MAX_ADDRESSES]


def _transport() -> httpx2.AsyncBaseTransport:
    """On another thread: reading the certificates of all authorities takes a while."""
    # No connection is used again: its certificate was checked for the name it was opened for, which may share its address.
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.AsyncHTTPTransport(verify=httpx2.create_ssl_context(trust_env=False), trust_env=False, limits=limits)


class _Room:
    """How many bytes the pictures of a request may still have."""

    def __init__(self, left: int) -> None:
        self.left = left


async def _read(response: httpx2.Response, picture: ImageUrl, room: _Room) -> bytes:
    """Counted as it comes, and given up as soon as it is no picture. Packed ones are refused: they could unpack to anything."""
    if response.status_code != 200:
        raise _refusal(picture, f"was answered with status {response.status_code}")
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise _refusal(picture, "comes packed (Content-Encoding)")
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        room.left -= len(chunk)
        if len(data) > _MAX_BYTES:
            raise _refusal(picture, f"has more than {_mib(_MAX_BYTES)} MiB")
        if room.left < 0:
            raise _refusal(picture, f"is too much: together they have more than {_mib(_MAX_BYTES_IN_ALL)} MiB")
        if len(data) >= _HEAD_BYTES and not _is_picture(data):
            break
    if not _is_picture(data):
        raise _refusal(picture, "is no PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF file")
    return bytes(data)


def _is_picture(data: bytearray) -> bool:
    """By its first bytes: what a server says of it counts for nothing."""
    if len(data) < _HEAD_BYTES:
        return False
    return (
        data.startswith(_BEGINNINGS)
        or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")
        or (data[4:8] == b"ftyp" and data[8:12] in _AVIF_BRANDS)
    )


def _in_place(part: ContentPart, pictures: dict[str, bytes]) -> ContentPart:
    return ImagePart(pictures[part.url], part.max_side) if isinstance(part, ImageUrl) else part


def _refusal(picture: ImageUrl, what: str) -> InvalidRequest:
    shown = picture.url if len(picture.url) <= 100 else f"{picture.url[:99]}…"
    return InvalidRequest(f"The picture at {shown} {what}. Send the picture itself as a data: URL.", param=picture.param)


def _mib(size: int) -> int:
    return size // (1024 * 1024)
