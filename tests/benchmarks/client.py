"""A client of any OpenAI-compatible server that costs next to nothing while an answer runs.

It only notes when which bytes came; they are read after the answer has ended. Each request has its own connection.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Answer", "Client", "EventLines", "Exchange", "HttpReader", "RequestFailed"]


class RequestFailed(Exception):
    """The server refused or broke off."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A streamed answer. Times are seconds from the sending of the request; `texts` are when each piece of text came."""

    texts: tuple[float, ...]
    text: str
    ended: float
    n_prompt: int
    n_tokens: int
    sent_at: float

    @property
    def first(self) -> float:
        """Seconds to the first piece of text. Raises RequestFailed if none came."""
        if not self.texts:
            raise RequestFailed("the answer has no text")
        return self.texts[0]

    @property
    def rate(self) -> float:
        """Tokens per second from the first piece to the last."""
        if self.texts[-1] <= self.first:
            raise RequestFailed("the answer came in one piece")
        return (self.n_tokens - 1) / (self.texts[-1] - self.first)


class Client:
    """Sends requests to one model of one server. `address` may end in /v1 or not."""

    def __init__(self, address: str, model: str = "") -> None:
        parts = urlsplit(address if "//" in address else f"http://{address}")
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self._prefix = parts.path.rstrip("/").removesuffix("/v1")
        self.model = model

    async def open(self, path: str, body: Mapping[str, Any] | None = None) -> Exchange:
        """Send a request; GET without a body. Raises RequestFailed if nothing listens."""
        loop = asyncio.get_running_loop()
        try:
            _, exchange = await loop.create_connection(Exchange, self.host, self.port)
        except OSError as error:
            raise RequestFailed(f"nothing answers on {self.host}:{self.port}") from error
        content = b"" if body is None else json.dumps({"model": self.model, **body}).encode()
        head = (
            f"{'GET' if body is None else 'POST'} {self._prefix}{path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        exchange.send(head.encode() + content)
        return exchange

    async def get(self, path: str) -> Any:
        return await (await self.open(path)).body()

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return await (await self.open(path, body)).body()

    async def stream(self, path: str, body: Mapping[str, Any]) -> Answer:
        return await (await self.open_stream(path, body)).answer()

    async def open_stream(self, path: str, body: Mapping[str, Any]) -> Exchange:
        return await self.open(path, {**body, "stream": True, "stream_options": {"include_usage": True}})


class Exchange(asyncio.Protocol):
    """One request and what comes back."""

    def __init__(self) -> None:
        self._packets: list[tuple[float, bytes]] = []
        self._sent_at = 0.0
        self._ended = asyncio.get_running_loop().create_future()
        self._awaited: tuple[int, asyncio.Future[None]] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._packets.append((time.perf_counter(), data))
        if self._awaited is not None and len(self._packets) >= self._awaited[0]:
            self._awaited[1].set_result(None)
            self._awaited = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set_result(time.perf_counter())
        if self._awaited is not None:
            self._awaited[1].set_exception(RequestFailed("the answer ended early"))
            self._awaited = None

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    async def packets(self, n: int) -> None:
        """Wait until `n` packets have come, about one per token. Raises RequestFailed if it ends before."""
        if len(self._packets) < n:
            if self._ended.done():
                raise RequestFailed("the answer ended early")
            future = asyncio.get_running_loop().create_future()
            self._awaited = (n, future)
            await future

    def leave(self) -> None:
        """Close the connection, as a client that has lost interest."""
        if self._transport is not None:
            self._transport.abort()

    async def body(self) -> Any:
        """The JSON of the answer. Raises RequestFailed unless the status is 200."""
        await self._ended
        reader = HttpReader()
        content = b"".join(reader.read(data) for _, data in self._packets)
        return _parsed(reader.status, content)

    async def answer(self) -> Answer:
        """Wait for the end of the stream and read it. Raises RequestFailed."""
        ended = await self._ended
        reader, lines = HttpReader(), EventLines()
        texts: list[float] = []
        parts: list[str] = []
        usage: Mapping[str, Any] = {}
        content = b""
        for at, data in self._packets:
            body = reader.read(data)
            if reader.status != 200:
                content += body
                continue
            for event in lines.events(body):
                usage = event.get("usage") or usage
                if text := _text(event):
                    texts.append(at - self._sent_at)
                    parts.append(text)
        if reader.status != 200:
            _parsed(reader.status, content)
        n_tokens = usage.get("completion_tokens", len(texts))
        return Answer(
            tuple(texts), "".join(parts), ended - self._sent_at, usage.get("prompt_tokens", 0), n_tokens, self._sent_at
        )


def _parsed(status: int, content: bytes) -> Any:
    if status != 200:
        raise RequestFailed(f"status {status}: {content[:200].decode('utf-8', 'replace')}")
    return json.loads(content)


def _text(event: Mapping[str, Any]) -> str:
    """The text of a chunk, of either endpoint. Raises RequestFailed for an error in the stream."""
    if "error" in event:
        raise RequestFailed(str(event["error"]))
    for choice in event.get("choices") or ():
        delta = choice.get("delta") or {}
        return choice.get("text") or delta.get("content") or delta.get("reasoning_content") or ""
    return ""


class HttpReader:
    """Takes a response apart as its bytes come."""

    def __init__(self) -> None:
        self.status = 0
        self._buffer = b""
        self._chunked = False
        self._left = 0

    def read(self, data: bytes) -> bytes:
        """The body's bytes in `data`."""
        self._buffer += data
        if not self.status and not self._read_head():
            return b""
        if not self._chunked:
            body, self._buffer = self._buffer, b""
            return body
        return b"".join(self._chunks())

    def _read_head(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if found:
            self.status = int(head.split(b" ", 2)[1])
            self._chunked = b"transfer-encoding: chunked" in head.lower()
            self._buffer = rest
        return bool(found)

    def _chunks(self) -> Iterator[bytes]:
        while self._buffer:
            if not self._left:
                line, found, rest = self._buffer.partition(b"\r\n")
                if not found:
                    return
                # The line break after the chunk belongs to it.
                self._left = int(line.split(b";")[0], 16) + 2
                self._buffer = rest
            piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
            body_left = max(0, self._left - 2)
            self._left -= len(piece)
            yield piece[:body_left]


class EventLines:
    """Server-sent events, one JSON object each."""

    def __init__(self) -> None:
        self._rest = b""

    def events(self, data: bytes) -> Iterator[Mapping[str, Any]]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            kind, _, value = line.strip().partition(b":")
            if kind == b"data" and value.strip() != b"[DONE]":
                yield json.loads(value)
            elif kind == b"error":
                raise RequestFailed(value.decode("utf-8", "replace"))
