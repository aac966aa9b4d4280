from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import httpx2
import pytest

from app.domain.errors import AddressInUse, SettingsError
from app.service.server_control import ServerState
from tests.fakes import Answer
from tests.server.serving import HELLO, Gate, RawClient, serving

pytestmark = pytest.mark.anyio


async def test_it_says_where_it_listens_and_listens_on_loopback_alone(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        assert api.server.state == ServerState(running=True, address=f"http://127.0.0.1:{api.port}/v1")
        assert api.port > 0
        assert (await api.http.get("/health")).json() == {"status": "ok"}


async def test_it_can_be_switched_off_and_on_again_on_the_same_port(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        states: list[ServerState] = []
        api.server.changed.subscribe(states.append)
        api.settings.update(port=api.port)
        for _ in range(3):
            await api.server.stop()
            with pytest.raises(httpx2.ConnectError):
                await api.http.get("/health")
            await api.server.start()
            assert (await api.http.get("/health")).status_code == 200
        assert [state.running for state in states] == [False, True] * 3


async def test_starting_and_stopping_twice_does_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        address = api.server.state.address
        await api.server.start()
        assert api.server.state.address == address
        await api.server.stop()
        await api.server.stop()
        assert api.server.state == ServerState(running=False)


async def test_a_taken_port_is_an_error_that_offers_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with serving(tmp_path) as api:
            await api.server.stop()
            api.settings.update(port=port)
            with pytest.raises(AddressInUse) as caught:
                await api.server.start()
            assert caught.value.port == port
            assert caught.value.free_port not in (0, port)
            assert api.server.state == ServerState(running=False, error=str(caught.value))
            api.settings.update(port=caught.value.free_port)
            await api.server.start()
            assert api.port == caught.value.free_port


async def test_other_computers_are_let_in_only_with_a_key(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.server.stop()
        api.settings.update(host="0.0.0.0")
        with pytest.raises(SettingsError, match="api_key"):
            await api.server.start()
        assert "API key" in (api.server.state.error or "")
        api.settings.update(api_key="secret")
        await api.server.start()
        client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{api.port}")
        async with client:
            assert (await client.get("/v1/models")).status_code == 401
            assert (await client.get("/v1/models", headers={"authorization": "Bearer secret"})).status_code == 200


@pytest.mark.parametrize("host", ["no.such.host.invalid", "300.1.1.1", "", "a b"])
async def test_an_address_that_is_none_is_named(tmp_path: Path, host: str) -> None:
    async with serving(tmp_path) as api:
        await api.server.stop()
        api.settings.update(host=host, api_key="secret")
        with pytest.raises(SettingsError):
            await api.server.start()


async def test_an_address_of_another_computer_is_an_error(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        await api.server.stop()
        api.settings.update(host="192.0.2.1", api_key="secret")
        with pytest.raises(SettingsError, match=r"192\.0\.2\.1"):
            await api.server.start()


async def test_localhost_is_loopback(tmp_path: Path) -> None:
    async with serving(tmp_path, host="localhost") as api:
        assert api.server.state.address == f"http://127.0.0.1:{api.port}/v1"


async def test_stopping_ends_a_stream_with_an_error_and_frees_the_engine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = asyncio.Event()
    async with serving(tmp_path, Answer.of("Once", " upon", gate=held)) as api:
        client = await RawClient.connect(api.port)
        await client.post("/v1/chat/completions", {**HELLO, "stream": True})
        await client.until("Once")
        before = asyncio.get_running_loop().time()
        await api.server.stop()
        assert asyncio.get_running_loop().time() - before < 3
        rest = await client.rest()
        await client.close()
        assert api.engine.cancelled == [job.id for job in api.engine.jobs]
        assert '"code":"shutting_down"' in rest
        assert api.activity.records[-1].error == "The server is being switched off."
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_stopping_answers_who_still_waits(tmp_path: Path) -> None:
    held = Gate()
    async with serving(tmp_path, Answer.of("Once", " upon", gate=held)) as api:
        asked = asyncio.create_task(api.chat())
        await held.reached()
        await api.server.stop()
        answer = await asked
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["error"]["code"] == "shutting_down"


async def test_who_comes_while_it_stops_is_told_to_come_later(tmp_path: Path) -> None:
    held = Gate()
    async with serving(tmp_path, Answer.of("Once", " upon", gate=held)) as api:
        asked = asyncio.create_task(api.chat())
        await held.reached()
        stopping = asyncio.create_task(api.server.stop())
        client = await RawClient.connect(api.port)
        await client.send("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await client.rest()
        await client.close()
        held.set()
        await stopping
        assert (await asked).status_code == 200
    assert answer.startswith("HTTP/1.1 503")
    assert "retry-after: 2" in answer
    assert '"code":"shutting_down"' in answer


async def test_stopping_lets_a_stream_end_by_itself(tmp_path: Path) -> None:
    held = asyncio.Event()
    async with serving(tmp_path, Answer.of("Once", " upon", gate=held)) as api:
        client = await RawClient.connect(api.port)
        await client.post("/v1/chat/completions", {**HELLO, "stream": True})
        await client.until("Once")
        stopping = asyncio.create_task(api.server.stop())
        held.set()
        rest = await client.rest()
        await client.close()
        await stopping
    assert " upon" in rest
    assert "data: [DONE]" in rest


async def test_answers_are_sent_at_once(tmp_path: Path) -> None:
    """TCP_NODELAY: otherwise every second write waits for the other side's delayed acknowledgement."""
    async with serving(tmp_path) as api:
        client = await RawClient.connect(api.port)
        await client.post("/v1/chat/completions", HELLO)
        await client.until('"usage"')
        server = api.server._server
        assert server is not None
        (connection,) = server.server_state.connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await client.close()
