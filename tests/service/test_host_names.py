from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.service.host_names import HostNames

pytestmark = pytest.mark.anyio


class Hanging:
    """Answers no look-up until `gate` opens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self.asked = threading.Semaphore(0)
        self.hosts: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.hosts.append(host)
        self.asked.release()
        self.gate.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))] * 2


async def test_look_ups_that_hang_leave_the_threads_of_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging, names = Hanging(monkeypatch), HostNames()
    with ThreadPoolExecutor(max_workers=2) as executor:
        asyncio.get_running_loop().set_default_executor(executor)
        looking = [asyncio.create_task(names.addresses(f"host{number}", 443)) for number in range(10)]
        for _ in range(4):
            assert await asyncio.to_thread(hanging.asked.acquire, timeout=5)
        assert len(hanging.hosts) == 4

        # Those who don't wait any longer leave their look-ups behind, which count until they end.
        for task in looking[:8]:
            task.cancel()
        await asyncio.wait(looking[:8])
        assert len(hanging.hosts) == 4

        hanging.gate.set()
        assert await asyncio.gather(*looking[8:]) == [("192.0.2.1",)] * 2
        assert hanging.hosts[4:] == ["host8", "host9"]


async def test_a_name_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    monkeypatch.setattr(socket, "getaddrinfo", none)
    names = HostNames()
    for _ in range(10):
        with pytest.raises(OSError, match="no such host"):
            await names.addresses("nowhere.example", 443)
