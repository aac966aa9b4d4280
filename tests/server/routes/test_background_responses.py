from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import GenerationFailed
from tests.fakes import Answer
from tests.server.serving import Gate, RawClient, Serving, chunks, serving

pytestmark = pytest.mark.anyio


async def begin(api: Serving, **fields: Any) -> dict[str, Any]:
    answer = await api.http.post("/v1/responses", json={"model": "ember", "input": "Hello", "background": True, **fields})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def ended(api: Serving, response_id: str) -> dict[str, Any]:
    """The response, once its stream has come to its end."""
    await api.http.get(f"/v1/responses/{response_id}", params={"stream": "true"})
    body: dict[str, Any] = (await api.http.get(f"/v1/responses/{response_id}")).json()
    return body


async def test_it_is_answered_at_once_and_made_meanwhile(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, Answer.of("Hel", "lo", gate=gate)) as api:
        body = await begin(api)
        assert (body["status"], body["background"], body["output"]) == ("in_progress", True, [])
        await gate.reached()
        halfway = (await api.http.get(f"/v1/responses/{body['id']}")).json()
        assert (halfway["status"], halfway["output"][0]["content"][0]["text"]) == ("in_progress", "Hel")
        assert halfway["output"][0]["status"] == "in_progress"
        early = await api.http.post(
            "/v1/responses", json={"model": "ember", "input": "More", "previous_response_id": body["id"]}
        )
        assert (early.status_code, early.json()["error"]["param"]) == (400, "previous_response_id")
        gate.set()
        last = await ended(api, body["id"])
        listed = (await api.http.get(f"/v1/responses/{body['id']}/input_items")).json()
    assert (last["status"], last["output"][0]["content"][0]["text"]) == ("completed", "Hello")
    assert len(listed["data"]) == 1


async def test_a_stream_that_was_left_is_taken_up_where_it_was(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, Answer.of("Hel", "lo", gate=gate)) as api:
        client = await RawClient.connect(api.port)
        await client.post("/v1/responses", {"model": "ember", "input": "Hello", "background": True, "stream": True})
        head = await client.until('"delta":"Hel"')
        response_id = head.split('"id":"')[1].split('"')[0]
        await gate.reached()
        await client.close()
        rest = asyncio.create_task(
            api.http.get(f"/v1/responses/{response_id}", params={"stream": "true", "starting_after": "3"})
        )
        gate.set()
        taken_up = chunks((await rest).text)
        whole = chunks((await api.http.get(f"/v1/responses/{response_id}", params={"stream": "true"})).text)
        past = (await api.http.get(f"/v1/responses/{response_id}", params={"stream": "true", "starting_after": "99"})).text
    assert [event["sequence_number"] for event in whole] == list(range(len(whole)))
    assert taken_up == whole[4:]
    assert [event["delta"] for event in taken_up if "delta" in event] == ["Hel", "lo"]
    assert whole[-1]["type"] == "response.completed"
    assert past == ""


async def test_one_that_runs_can_be_cancelled_which_frees_its_sequence(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, Answer.of("Hel", "lo", gate=gate)) as api:
        body = await begin(api)
        await gate.reached()
        path = f"/v1/responses/{body['id']}"
        cancelled = (await api.http.post(f"{path}/cancel")).json()
        assert (cancelled["status"], cancelled["output"][0]["status"]) == ("cancelled", "incomplete")
        assert api.engine.cancelled
        assert (await api.http.post(f"{path}/cancel")).json() == cancelled == (await api.http.get(path)).json()
        *_, end = chunks((await api.http.get(path, params={"stream": "true"})).text)
    assert (end["type"], end["code"]) == ("error", "response_cancelled")


async def test_one_that_was_not_in_the_background_can_be_neither_cancelled_nor_streamed_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        answer = await api.http.post("/v1/responses", json={"model": "ember", "input": "Hello"})
        path = f"/v1/responses/{answer.json()['id']}"
        cancelled = await api.http.post(f"{path}/cancel")
        streamed = await api.http.get(path, params={"stream": "true"})
    assert cancelled.status_code == streamed.status_code == 400
    assert streamed.json()["error"]["param"] == "stream"


async def test_one_that_is_deleted_is_ended(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, Answer.of("Hel", "lo", gate=gate)) as api:
        body = await begin(api)
        await gate.reached()
        assert (await api.http.delete(f"/v1/responses/{body['id']}")).status_code == 200
        assert api.engine.cancelled
        assert (await api.http.get(f"/v1/responses/{body['id']}")).status_code == 404


async def test_what_goes_wrong_is_found_in_the_response(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer(error=GenerationFailed("decode failed"))) as api:
        last = await ended(api, (await begin(api))["id"])
    assert (last["status"], last["error"]) == ("failed", {"code": "server_error", "message": "decode failed"})


async def test_it_is_on_record_and_counted_like_any_other(tmp_path: Path) -> None:
    gate = Gate()
    failing = Answer(error=GenerationFailed("decode failed"))
    async with serving(tmp_path, Answer.of("Hel", "lo", gate=gate), failing) as api:
        body = await begin(api)
        await gate.reached()
        (running,) = api.activity.records
        assert (running.model, running.status) == ("ember", None)
        gate.set()
        await ended(api, body["id"])
        done = api.activity.records[0]
        assert (done.id, done.status, done.completion_tokens, done.error) == (running.id, 200, 2, None)
        await ended(api, (await begin(api))["id"])
        assert "decode failed" in [record.error for record in api.activity.records]
        assert "hearth_completion_tokens_total 2.0" in (await api.http.get("/metrics")).text


async def test_what_could_not_begin_is_refused_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        fields = {"model": "ember", "input": "Hello", "background": True}
        for wrong, status, param in (({"store": False}, 400, "background"), ({"model": "embre"}, 404, "model")):
            answer = await api.http.post("/v1/responses", json={**fields, **wrong})
            assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


async def test_only_so_many_run_at_a_time(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo", gate=asyncio.Event())) as api:
        for _ in range(64):
            await begin(api)
        answer = await api.http.post("/v1/responses", json={"model": "ember", "input": "Hello", "background": True})
        assert answer.status_code == 429


async def test_the_server_ends_them_when_it_is_switched_off(tmp_path: Path) -> None:
    gate = Gate()
    async with serving(tmp_path, Answer.of("Hel", "lo", gate=gate)) as api:
        client = await RawClient.connect(api.port)
        await client.post("/v1/responses", {"model": "ember", "input": "Hello", "background": True, "stream": True})
        await gate.reached()
        await api.server.stop()
        assert "response_cancelled" in await client.rest()
        assert api.engine.cancelled
        await client.close()
