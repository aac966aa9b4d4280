from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.server.serving import RawClient, serving

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
