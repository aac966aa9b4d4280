"""S22: callers that send too much, too slowly, or in two ways at once."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import pytest

from tests.conformance.security.conftest import Port, heard

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X-Long: " + b"x" * 40_000 + b"\r\n\r\n",
        GET + b"".join(b"X-%d: y\r\n" % number for number in range(5000)) + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        GET + b"X: " + b"x" * 300_000,
    ],
    ids=["one header", "many headers", "address", "without end"],
)
def test_s22_headers_that_are_too_long_are_refused(port: Port, head: bytes) -> None:
    status = port.say(head).split(b" ")[1]
    assert status in (b"400", b"404", b"431")


def test_s22_headers_may_have_a_normal_length(port: Port) -> None:
    assert port.ask("GET", "/v1/models", headers={"X-Long": "x" * 16_000}).status == 200


def test_s22_a_body_that_is_too_large_is_refused_on_the_way(port: Port) -> None:
    announced = port.say(POST + b"Content-Length: 99999999999\r\n\r\n")
    assert b"413" in announced.split(b"\r\n")[0]
    with port.connected() as client:
        client.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
        try:
            for _ in range(80):
                client.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            return
        assert b"413" in heard(client).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nContent-Length: 100\r\n",
        b"Content-Length: 5, 100\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Content-Length: 5\nTransfer-Encoding: chunked\r\n",
    ],
    ids=repr,
)
def test_s22_smuggling_a_second_request_behind_an_unclear_end_is_refused(port: Port, head: bytes) -> None:
    answer = port.say(POST + head + b"\r\n0\r\n\r\n" + GET + b"\r\n")
    assert answer.split(b" ")[1] in (b"400", b"501")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"ember" not in answer


@pytest.mark.parametrize("chunks", [b"-1\r\nx\r\n", b"zz\r\nx\r\n", b"1;" + b"x" * 70_000, b"5\r\nhello0\r\n\r\n"])
def test_s22_chunks_that_are_none_are_refused(port: Port, chunks: bytes) -> None:
    answer = port.say(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"413")


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 100,
        b"\r\n\r\n\r\n",
    ],
    ids=repr,
)
def test_s22_what_is_no_http_is_told_so(port: Port, said: bytes) -> None:
    answer = port.say(said + b"\r\n\r\n")
    assert answer.split(b" ")[1] in (b"400", b"403", b"505")
    assert b'"error"' in answer


def test_s22_requests_in_a_row_are_answered_in_a_row(port: Port) -> None:
    answer = port.say((GET + b"\r\n") * 20)
    assert answer.count(b"HTTP/1.1 200") == 20


def test_s22_connections_that_say_nothing_keep_nobody_out(port: Port) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(port.connected()) for _ in range(300)]
        for client in idle[:150]:
            client.sendall(b"GET /v1/models HTTP/1.1\r\nX: ")
        begun = time.perf_counter()
        assert port.ask("GET", "/health").status == 200
        assert port.chat().status == 200
        assert time.perf_counter() - begun < 5


@pytest.mark.slow
def test_s22_slow_loris_a_client_that_does_not_finish_is_let_go(port: Port) -> None:
    """Headers have ten seconds, also the second ones of a connection, and what is left of a body that was refused."""
    refused = POST + b"Content-Length: 99999999999\r\n\r\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(port.connected(timeout_s=15)) for _ in range(4)]
        for client, said in zip(clients, (b"", GET, GET + b"\r\n" + GET, refused), strict=True):
            client.sendall(said)
        for client in clients[2:]:
            assert heard(client).startswith(b"HTTP/1.1")
        assert all(_ends(client, drip=b"X", within_s=14) for client in clients)


@pytest.mark.slow
def test_s22_slow_loris_a_body_that_drips_is_given_up(port: Port) -> None:
    with port.connected(timeout_s=1) as client:
        client.sendall(POST + b"Content-Length: 1000\r\n\r\n")
        begun = time.monotonic()
        answer = b""
        while not answer and time.monotonic() - begun < 60:
            try:
                client.sendall(b" ")
                answer = client.recv(65536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"request_timeout" in answer
        assert 25 < time.monotonic() - begun < 40


def _ends(client: socket.socket, *, drip: bytes, within_s: float) -> bool:
    """Whether the other side closes, though something is said now and then."""
    client.settimeout(0.5)
    begun = time.monotonic()
    while time.monotonic() - begun < within_s:
        try:
            client.sendall(drip)
            if client.recv(65536) == b"":
                return True
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            return True
    return False
