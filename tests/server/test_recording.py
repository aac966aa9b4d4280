from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import unquote

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from app.domain.generation import TextDelta
from app.server.answers import IndexedEvent, Tally
from app.server.errors import INTERNAL_PROBLEM
from app.server.metrics import Metrics
from app.server.recording import Recorder, track_of
from app.server.streaming import EventStream
from app.service.activity import Activity, RequestRecord
from tests.fakes import Answer, FakeLibrary, installed_model
from tests.server.serving import HELLO, serving
from tests.server.test_streaming import PlainFrames

pytestmark = pytest.mark.anyio


async def test_a_request_is_recorded_while_it_runs_and_when_it_is_done(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo")) as api:
        seen: list[RequestRecord] = []
        api.activity.changed.subscribe(seen.append)
        await api.chat()
    started, named, done = seen
    assert (started.endpoint, started.model, started.status) == ("/v1/chat/completions", "", None)
    assert (named.model, named.status) == ("ember", None)
    assert (done.id, done.model, done.status, done.completion_tokens) == (started.id, "ember", 200, 2)
    assert done.prompt_tokens == len("<user>Hello<assistant>")
    assert done.tokens_per_s == 4.0
    assert done.duration_s is not None
    assert api.activity.records == (done,)


async def test_a_stream_is_recorded_too(tmp_path: Path) -> None:
    async with serving(tmp_path, Answer.of("Hel", "lo")) as api:
        await api.stream()
    (record,) = api.activity.records
    assert (record.status, record.completion_tokens, record.tokens_per_s) == (200, 2, 4.0)


async def test_a_refused_request_is_recorded_with_its_reason(tmp_path: Path) -> None:
    async with serving(tmp_path, api_key="secret") as api:
        await api.http.get("/v1/models")
        await api.http.get("/health")
        (record,) = api.activity.records
    assert (record.status, record.model) == (401, "")


async def test_every_answer_carries_its_own_id_which_the_log_and_the_record_share(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="app.server.recording")
    async with serving(tmp_path) as api:
        answers = [await api.chat(), await api.chat(model="nope"), await api.http.get("/nope"), await api.chat(stream=True)]
        ids = [answer.headers["x-request-id"] for answer in answers]
        assert len(set(ids)) == len(ids)
        assert [record.id for record in api.activity.records] == [ids[0], ids[1], ids[3]]
    for id in ids:
        assert id in caplog.text


async def test_what_people_write_stays_out_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"authorization": "Bearer topsecretkey"}
    async with serving(tmp_path, Answer.of("privateanswer"), api_key="topsecretkey") as api:
        message = {"role": "user", "content": "privatequestion"}
        await api.http.post("/v1/chat/completions", json={**HELLO, "messages": [message]}, headers=headers)
        await api.http.post("/v1/chat/completions", json={**HELLO, "messages": [{**message, "role": 7}]}, headers=headers)
    for secret in ("privatequestion", "privateanswer", "topsecretkey"):
        assert secret not in caplog.text


async def test_a_bug_is_a_500_in_the_usual_shape_and_a_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("the bug")

    sent: list[dict[str, object]] = []

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    activity = Activity()
    recorder = Recorder(broken, activity, Metrics(tuple), FakeLibrary())
    await recorder({"type": "http", "method": "GET", "path": "/v1/models", "headers": []}, asyncio.Event().wait, send)
    assert sent[0]["status"] == 500
    assert b"internal_error" in bytes(str(sent[1]["body"]), "utf-8")
    assert "the bug" not in str(sent[1]["body"])
    assert "ZeroDivisionError: the bug" in caplog.text
    assert activity.records[0].status == 500


async def test_a_bug_in_mid_stream_ends_the_stream_with_an_error_and_a_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def events() -> AsyncGenerator[IndexedEvent, None]:
        yield 0, TextDelta("a;")
        raise ZeroDivisionError("the bug")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = EventStream(events(), PlainFrames(), Tally(), track_of(HTTPConnection(scope)), headers={})
        await stream.decide()
        await stream(scope, receive, send)

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    activity = Activity()
    recorder = Recorder(app, activity, Metrics(tuple), FakeLibrary())
    await recorder({"type": "http", "method": "GET", "path": "/v1/x", "headers": []}, receive, send)
    start, *bodies = sent
    assert start["status"] == 200
    assert [body["body"] for body in bodies] == [b"open;", b"a;", INTERNAL_PROBLEM.message.encode(), b""]
    assert [body["more_body"] for body in bodies] == [True, True, True, False]
    assert "ZeroDivisionError: the bug" in caplog.text
    assert (activity.records[0].status, activity.records[0].error) == (200, INTERNAL_PROBLEM.message)


async def test_a_path_can_not_write_lines_into_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="app.server.recording")
    async with serving(tmp_path) as api:
        assert (await api.http.get("/v1/x%0d%0aINFO%20forged")).status_code == 404
        await api.http.get("/v1/" + "x" * 5000)
    ours = [record.getMessage() for record in caplog.records if record.name == "app.server.recording"]
    assert len(ours) == 2
    assert all("\n" not in line and len(line) < 400 for line in ours)


async def test_which_model_answers_is_told_where_the_request_calls_it_by_another_name(tmp_path: Path) -> None:
    odd = installed_model("modèle 模型%")
    async with serving(tmp_path, models=(installed_model(), odd), aliases={"gpt-4o-mini": "ember", "odd": odd.id}) as api:
        whole = await api.chat(model="gpt-4o-mini")
        streamed = await api.chat(model="gpt-4o-mini", stream=True)
        plain = await api.chat()
        other = await api.chat(model="odd")
        tokens = await api.http.post("/tokenize", json={"model": "gpt-4o-mini", "content": "Hi"})
        wrong = await api.chat(temperature=-1)
        health = await api.http.get("/health")
    assert whole.json()["model"] == "gpt-4o-mini"
    assert '"model":"gpt-4o-mini"' in streamed.text
    for answer in (whole, streamed, plain, tokens):
        assert answer.headers["x-hearth-model"] == "ember"
    assert unquote(other.headers["x-hearth-model"]) == odd.id
    assert "x-hearth-model" not in wrong.headers
    assert "x-hearth-model" not in health.headers
